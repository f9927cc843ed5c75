package client

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"unibus/core"
	"unibus/core/seal"
)

const verifiedFile = "verified.json"

// Bounds of the file of verified people.
const (
	maxVerified      = 1 << 16
	maxVerifiedNames = 64 // of one person: the oldest, by which people know the person, and the newest
)

// VerifiedPerson is a user whose safety number this user has compared.
type VerifiedPerson struct {
	User  core.UserID
	Names []string    // under which the nodes have shown the user, the oldest first
	At    core.Millis // when the number was compared
}

// verifiedPeople are the people whose safety numbers were compared, as they are on disk.
type verifiedPeople struct {
	mu      sync.Mutex
	dir     *stateDir
	file    verifiedState
	changes uint64 // of file, by this process
}

// verifiedState is the file.
type verifiedState struct {
	V      int                            `json:"v"`
	People map[core.UserID]verifiedRecord `json:"people"`
	// Acknowledged are users who have the name of a verified person and are known not to be
	// verified, with that person.
	Acknowledged map[core.UserID]core.UserID `json:"acknowledged,omitempty"`
}

type verifiedRecord struct {
	Names []string    `json:"names,omitempty"`
	At    core.Millis `json:"at"`
}

// openVerified reads the file. One that cannot be read is an error, and not an empty
// one: nobody would be told of a change any more.
func openVerified(dir *stateDir) (*verifiedPeople, error) {
	v := &verifiedPeople{dir: dir}
	if err := dir.read(verifiedFile, &v.file); err != nil {
		return nil, err
	}
	if err := v.file.check(); err != nil {
		return nil, dir.damaged(verifiedFile, err)
	}
	if v.file.People == nil {
		v.file.People = map[core.UserID]verifiedRecord{}
	}
	if v.file.Acknowledged == nil {
		v.file.Acknowledged = map[core.UserID]core.UserID{}
	}
	return v, nil
}

func (s verifiedState) check() error {
	if s.V < 0 || s.V > stateVersion {
		return core.Errorf(core.KindInvalid, "it is of version %d, and this program reads version %d", s.V, stateVersion)
	}
	ids := slices.Collect(maps.Keys(s.People))
	for now, was := range s.Acknowledged {
		ids = append(ids, now, was)
	}
	for _, id := range ids {
		if parsed, err := core.ParseUserID(string(id)); err != nil || parsed != id {
			return core.Errorf(core.KindInvalid, "%.60q is no user", id)
		}
	}
	return nil
}

// change changes the file, and keeps what was there if it cannot be written.
func (v *verifiedPeople) change(f func(*verifiedState) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := verifiedState{stateVersion, maps.Clone(v.file.People), maps.Clone(v.file.Acknowledged)}
	if err := f(&next); err != nil {
		return err
	}
	if err := v.dir.write(verifiedFile, next); err != nil {
		return err
	}
	v.file = next
	v.changes++
	return nil
}

// use calls f with the file, which f may not change.
func (v *verifiedPeople) use(f func(s *verifiedState)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.file)
}

// addName remembers a name under which the nodes show a verified person. At the bound the
// newest one makes place: a node that shows many names makes nobody forget an older one.
func (r verifiedRecord) addName(name string) verifiedRecord {
	if name == "" || slices.Contains(r.Names, name) {
		return r
	}
	r.Names = append(slices.Clone(r.Names), name)
	if n := len(r.Names); n > maxVerifiedNames {
		r.Names = slices.Delete(r.Names, maxVerifiedNames-1, n-1)
	}
	return r
}

// foldName is what two names have in common that people take for the same: without case, blanks,
// invisible characters and marks, and with letters and digits that look like Latin ones. A node
// is not bound by the rules for names.
func foldName(name string) string {
	shown := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Cc) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(name)) // letters apart from their marks; wide and mathematical ones as plain ones
	return strings.Map(looksLike(), strings.ToLower(strings.Join(strings.Fields(shown), " ")))
}

// looksLike returns the Latin letter, or the plain sign, that a small letter or sign looks like.
var looksLike = sync.OnceValue(func() func(rune) rune {
	same := map[rune]rune{'0': 'o', '1': 'i', '|': 'i', 'l': 'i', '\u2019': '\'', '\u02bc': '\'', '`': '\''}         // a capital i looks like a small l
	const others, letters = "авеԁгһіјкӏмноөрсԛѕтуѵԝхүαβγεικνορςτυχωϳɑɡ", "abedrhijkimhoopcqstyvwxyabyeiknopctuxwjag" // Cyrillic, Greek, variants
	const stroked, plain = "ƀƈđɇƒǥħıɉƙłƚƞøƥɍŧƭƴɏƶȥ", "bcdefghijkiinoprttyyzz"                                        // a stroke is no mark to Unicode
	latin := []rune(letters + plain)
	for i, r := range []rune(others + stroked) {
		same[r] = latin[i]
	}
	return func(r rune) rune {
		if unicode.Is(unicode.Pd, r) {
			return '-'
		}
		if plain, is := same[r]; is {
			return plain
		}
		return r
	}
})

// Verify remembers that this user has compared the safety number with a person: number
// is what the other side shows. From then on a user of that person's name with another
// key is an IdentityChanged event, and nothing is sent in a room with such a member
// before the program has acknowledged it. KindRefused with the cause ErrNumber if the
// numbers differ. KindNotFound for a user whom the nodes do not know.
func (c *Client) Verify(ctx context.Context, user core.UserID, number seal.SafetyNumber) error {
	own, err := c.SafetyNumber(user)
	if err != nil {
		return err
	}
	if given, err := seal.ParseSafetyNumber(string(number)); err != nil {
		return err
	} else if given != own {
		return newFault(core.KindRefused, ErrNumber, "the safety numbers with %s differ: one of you sees another key than the other one has", user.Short()).
			WithNext("compare again; if they still differ, tell this person nothing secret, and suspect the servers")
	}
	p, err := c.Profile(ctx, user)
	if err != nil {
		return err
	}
	name := ""
	if p.Name != nil {
		name = *p.Name
	}
	err = c.verified.change(func(s *verifiedState) error {
		if _, is := s.People[user]; !is && len(s.People) >= maxVerified {
			return core.Errorf(core.KindRefused, "%d people are verified, and more are not kept", maxVerified)
		}
		s.People[user] = verifiedRecord{At: core.MillisOf(time.Now()), Names: s.People[user].Names}.addName(name)
		delete(s.Acknowledged, user)
		return nil
	})
	if err == nil {
		c.wakeRooms()
	}
	return err
}

// Unverify forgets that a person was verified. KindNotFound.
func (c *Client) Unverify(user core.UserID) error {
	if err := c.checkOpen(); err != nil {
		return err
	}
	err := c.verified.change(func(s *verifiedState) error {
		if _, is := s.People[user]; !is {
			return core.Errorf(core.KindNotFound, "%s is not verified", user.Short())
		}
		delete(s.People, user)
		maps.DeleteFunc(s.Acknowledged, func(_, was core.UserID) bool { return was == user })
		return nil
	})
	if err == nil {
		c.wakeRooms()
	}
	return err
}

// Verified are the verified people, in the order of their ids.
func (c *Client) Verified() (out []VerifiedPerson) {
	if !c.hasOpened() {
		return nil
	}
	c.verified.use(func(s *verifiedState) {
		for _, user := range slices.Sorted(maps.Keys(s.People)) {
			r := s.People[user]
			out = append(out, VerifiedPerson{user, slices.Clone(r.Names), r.At})
		}
	})
	return out
}

// IsVerified says whether the safety number with a user was compared.
func (c *Client) IsVerified(user core.UserID) (is bool) {
	if c.hasOpened() {
		c.verified.use(func(s *verifiedState) { _, is = s.People[user] })
	}
	return is
}

// AcknowledgeIdentity says that this user knows that a verified person is shown with
// another key, and goes on without having compared the number of that: now is not
// verified by it. KindNotFound if was is not verified.
func (c *Client) AcknowledgeIdentity(was, now core.UserID) error {
	if err := c.checkOpen(); err != nil {
		return err
	}
	if parsed, err := core.ParseUserID(string(now)); err != nil || parsed != now || now == was {
		return core.Errorf(core.KindInvalid, "%.60q is not another user's key", now)
	}
	err := c.verified.change(func(s *verifiedState) error {
		if _, is := s.People[was]; !is {
			return core.Errorf(core.KindNotFound, "%s is not verified", was.Short())
		}
		s.Acknowledged[now] = was
		return nil
	})
	if err == nil {
		c.wakeRooms()
	}
	return err
}

// wakeRooms has every open room look at its members again.
func (c *Client) wakeRooms() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rooms {
		r.wake()
	}
}
