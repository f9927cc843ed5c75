package demo

import (
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// SampleConfig says how much sample data to create.
type SampleConfig struct {
	Users      int       // at least 1
	Rooms      int       // any
	Identities int       // how many active users keep their seeds, at most Users
	Now        time.Time // the newest moment in the data
	Keys       io.Reader // randomness of the users' keys; nil: the system's
}

// Sample is a control plane that looks as if it had been in use for a year. Except
// for keys and boxes it is the same every time.
type Sample struct {
	Snapshot core.Snapshot
	Seeds    [][]byte // of the first users, who are active; in the order in which they were made
}

// The proportions of the sample: about 1,000 members and 1,800 sealed keys at 200 users and 50 rooms.
const (
	minMembers, maxMembers = 8, 32    // of a room
	minBox, maxBox         = 200, 400 // bytes
	kemKeyLen              = 64
	proofLen               = 64
	maxEpoch               = 4 // rekeys of a room
	admins                 = 3
	revokedEvery           = 12 // one user in so many
	rekeyedEvery           = 2  // one room in so many
	unencryptedEvery       = 10 // one room in so many is not encrypted
)

// sampler holds what the functions of one sample share.
type sampler struct {
	cfg   SampleConfig
	rng   *mathrand.Rand // choices; not for keys
	start time.Time
	out   Sample
}

// NewSample creates sample data. KindInvalid for numbers that allow none.
func NewSample(cfg SampleConfig) (Sample, error) {
	if cfg.Users < 1 || cfg.Rooms < 0 || cfg.Identities < 0 || cfg.Identities > cfg.Users {
		return Sample{}, core.Errorf(core.KindInvalid, "there is no sample of %d users with %d rooms and %d identities",
			cfg.Users, cfg.Rooms, cfg.Identities).WithNext("ask for at least one user")
	}
	if cfg.Keys == nil {
		cfg.Keys = rand.Reader
	}
	s := &sampler{cfg: cfg, rng: mathrand.New(mathrand.NewPCG(1, 2)), start: cfg.Now.AddDate(-1, 0, 0)}
	for i := range cfg.Users {
		if err := s.addUser(i); err != nil {
			return Sample{}, err
		}
	}
	for i := range cfg.Rooms {
		if err := s.addRoom(i); err != nil {
			return Sample{}, err
		}
	}
	s.out.Snapshot.Sort()
	return s.out, nil
}

// addUser adds the next user. The first ones can connect; the admins are among
// them.
func (s *sampler) addUser(i int) error {
	kp, err := nkeys.CreatePairWithRand(nkeys.PrefixByteUser, s.cfg.Keys)
	if err != nil {
		return core.Errorf(core.KindFailed, "no key could be made: %w", err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		return core.Errorf(core.KindFailed, "no key could be made: %w", err)
	}
	u := core.User{ID: core.UserID(public), Role: core.RoleMember, Status: core.UserActive}
	u.Name = ptr(personName(i))
	u.Created = s.randomTime(s.start, s.cfg.Now.AddDate(0, -2, 0))
	u.Updated = u.Created
	if i < admins {
		u.Role = core.RoleAdmin
	}
	if i >= s.cfg.Identities && i%revokedEvery == revokedEvery-1 {
		u.Status = core.UserRevoked
		u.Updated = s.randomTime(u.Created.Time(), s.cfg.Now)
	}
	if i%25 != 24 { // a few never published a key for room keys
		if u.KEMKey, err = s.randomBytes(kemKeyLen, kemKeyLen); err != nil {
			return err
		}
	}
	s.out.Snapshot.Users = append(s.out.Snapshot.Users, u)
	if i >= s.cfg.Identities {
		return nil
	}
	seed, err := kp.Seed()
	if err != nil {
		return core.Errorf(core.KindFailed, "the new key has no seed: %w", err)
	}
	s.out.Seeds = append(s.out.Seeds, seed)
	return nil
}

// personName is the i-th of the combined names. Every pair comes once before any
// is repeated.
func personName(i int) string {
	first, last := firstNames(), lastNames()
	n := first[i%len(first)] + " " + last[(i*7+i/len(first))%len(last)]
	if round := i / (len(first) * len(last)); round > 0 {
		n += fmt.Sprintf(" %d", round+1)
	}
	return n
}

func roomName(i int) string {
	t, p := roomTopics(), roomPlaces()
	n := t[i%len(t)] + "-" + p[i/len(t)%len(p)]
	if round := i / (len(t) * len(p)); round > 0 {
		n += fmt.Sprintf("-%d", round+1)
	}
	return n
}

// addRoom adds the next room with its members and their keys of every epoch.
func (s *sampler) addRoom(i int) error {
	people := s.chooseMembers()
	owner := people[0]
	r := core.Room{ID: core.RoomID(roomName(i)), Name: ptr(roomName(i)), Owner: owner.ID, Rec: core.LegacyRec, State: core.RoomActive}
	r.Encrypted = i%unencryptedEvery != unencryptedEvery-1
	r.Created = s.randomTime(owner.Created.Time(), s.cfg.Now.AddDate(0, -1, 0))
	if r.Encrypted && i%rekeyedEvery == 0 {
		r.Epoch = core.Epoch(1 + s.rng.IntN(maxEpoch))
	}
	s.out.Snapshot.Rooms = append(s.out.Snapshot.Rooms, r)
	for j, u := range people {
		if err := s.addMember(r, u, j); err != nil {
			return err
		}
	}
	if !r.Encrypted {
		return nil
	}
	return s.addKeys(r, people)
}

// chooseMembers chooses a room's members, the owner first: an active user.
func (s *sampler) chooseMembers() []core.User {
	users := s.out.Snapshot.Users
	n := min(len(users), minMembers+s.rng.IntN(maxMembers-minMembers+1))
	var chosen []core.User
	for _, at := range s.rng.Perm(len(users))[:n] {
		chosen = append(chosen, users[at])
	}
	slices.SortStableFunc(chosen, func(a, b core.User) int {
		return rank(a) - rank(b)
	})
	return chosen
}

func rank(u core.User) int {
	if u.Status == core.UserActive {
		return 0
	}
	return 1
}

func (s *sampler) addMember(r core.Room, u core.User, place int) error {
	m := core.Member{Room: r.ID, User: u.ID, Role: core.MemberMember, State: core.MemberActive}
	m.Joined = s.randomTime(r.Created.Time(), s.cfg.Now)
	switch place {
	case 0:
		m.Role, m.Joined = core.MemberOwner, r.Created
	case 1:
		m.Role = core.MemberAdmin
	}
	if place > 0 {
		m.InvitedBy = ptr(string(r.Owner))
		proof, err := s.randomBytes(proofLen, proofLen)
		if err != nil {
			return err
		}
		m.Proof = proof
	}
	s.out.Snapshot.Members = append(s.out.Snapshot.Members, m)
	return nil
}

// addKeys adds the sealed key of every epoch. A revoked user has no box in the
// current epoch of a rekeyed room.
func (s *sampler) addKeys(r core.Room, people []core.User) error {
	for e := range r.Epoch + 1 {
		for _, u := range people {
			if e > 0 && e == r.Epoch && u.Status == core.UserRevoked {
				continue
			}
			box, err := s.randomBytes(minBox, maxBox)
			if err != nil {
				return err
			}
			s.out.Snapshot.Keys = append(s.out.Snapshot.Keys, core.SealedKey{
				Room: r.ID, Epoch: e, Rec: core.LegacyRec, User: u.ID, Box: box,
				SealedBy: ptr(string(r.Owner)), Created: r.Created + core.Millis(e)*core.Millis(time.Hour.Milliseconds()),
			})
		}
	}
	return nil
}

// randomBytes returns between low and high random bytes; only users' programs
// could read real ones.
func (s *sampler) randomBytes(low, high int) ([]byte, error) {
	b := make([]byte, low+s.rng.IntN(high-low+1))
	if _, err := io.ReadFull(s.cfg.Keys, b); err != nil {
		return nil, core.Errorf(core.KindFailed, "there is no randomness: %w", err)
	}
	return b, nil
}

// randomTime chooses a moment; from if to is not later.
func (s *sampler) randomTime(from, to time.Time) core.Millis {
	span := to.Sub(from)
	if span <= 0 {
		return core.MillisOf(from)
	}
	return core.MillisOf(from.Add(time.Duration(s.rng.Int64N(int64(span)))))
}

func ptr[T any](v T) *T { return &v }
