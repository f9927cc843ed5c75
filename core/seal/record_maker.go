package seal

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"unibus/core"
)

// RecordConfig configures MakeRecord.
type RecordConfig struct {
	Room    core.RoomID
	Epoch   core.Epoch // of the new key
	Rec     string     // from NewRec; the store must keep the boxes and the record under it
	Key     RoomKey    // from NewRoomKey
	Members []KEMKey   // each gets a box; the maker is one of them
	By      Signer     // the maker
	At      core.Millis
	Reason  Reason

	// Chain is the room's chain of statements about its members as the maker has followed
	// it. Members must be active members by it. nil for a room without one: a record of version 1.
	Chain *Membership

	// The epoch before: PrevKey if the maker has it, so that other members follow
	// without a decision; else Prev; neither for a room's first key.
	PrevKey *EpochKey
	Prev    *Record
}

// Rekeyed is a new epoch: record and boxes for the store, and the key for its maker.
type Rekeyed struct {
	Record core.EpochRecord
	Keys   []core.SealedKey // in the order of their members
	Key    *EpochKey
}

// MakeRecord seals a new room key to every member and signs its record.
// KindInvalid for a configuration that others would not accept.
func MakeRecord(cfg RecordConfig) (Rekeyed, error) {
	m, err := newRecordMaker(cfg)
	if err != nil {
		return Rekeyed{}, err
	}
	cores, err := m.seal()
	if err != nil {
		return Rekeyed{}, err
	}
	return m.finish(cores)
}

// recordMaker builds one record. Sealing is random; everything else, which is
// finish, is not.
type recordMaker struct {
	cfg     RecordConfig
	members []KEMKey // sorted
	record  Record
}

func newRecordMaker(cfg RecordConfig) (*recordMaker, error) {
	maker, err := signerID(cfg.By)
	if err != nil {
		return nil, err
	}
	m := &recordMaker{cfg: cfg, members: slices.Clone(cfg.Members)}
	m.record = Record{
		Place: Place{cfg.Room, cfg.Epoch, cfg.Rec}, Prev: core.LegacyRec, Time: max(cfg.At, 0),
		Reason: cfg.Reason, Maker: maker, Count: len(cfg.Members),
	}
	if err := m.record.check(); err != nil {
		return nil, err
	}
	if cfg.Reason < ReasonFirst || cfg.Reason > ReasonOther {
		return nil, errInvalid("%d is not a reason for a record", cfg.Reason)
	}
	if err := m.sortMembers(); err != nil {
		return nil, err
	}
	if err := m.nameMembers(); err != nil {
		return nil, err
	}
	return m, m.continueFrom(cfg)
}

func (m *recordMaker) sortMembers() error {
	slices.SortFunc(m.members, func(a, b KEMKey) int { return cmp.Compare(a.User, b.User) })
	if n := len(m.members); n < 1 || n > MaxMembers {
		return errFault(ErrLimit, "a record is made for 1 to %d members, not %d", MaxMembers, n)
	}
	maker := false
	for i, k := range m.members {
		if k.key == nil {
			return errInvalid("the KEM key of %s was not checked: it comes from ParseKEMKey", k.User.Short())
		}
		if i > 0 && k.User == m.members[i-1].User {
			return errInvalid("%s is given twice as a member", k.User.Short())
		}
		maker = maker || k.User == m.record.Maker
	}
	if !maker {
		return errInvalid("%s makes a record and is not one of the members with a box", m.record.Maker.Short())
	}
	return nil
}

// nameMembers fills in the head of the members' chain. A user who is no member by it
// gets no box, whoever asks for it.
func (m *recordMaker) nameMembers() error {
	chain := m.cfg.Chain
	if chain == nil {
		return nil
	}
	if chain.room != m.record.Room {
		return errInvalid("the members are of the room %s, not %s", chain.room, m.record.Room)
	}
	for _, k := range m.members {
		if chain.roleOf(k.User) == "" {
			return errFault(ErrRight, "%s is no member of the room %s by its members' statements and gets no key", k.User.Short(), chain.room)
		}
	}
	head := chain.head
	m.record.Members = &head
	return nil
}

// continueFrom fills in the previous record.
func (m *recordMaker) continueFrom(cfg RecordConfig) error {
	prev := cfg.Prev
	if cfg.PrevKey != nil {
		prev = &cfg.PrevKey.record
	}
	if prev == nil {
		return nil
	}
	r := &m.record
	if r.Room != prev.Room || r.Epoch != prev.Epoch+1 || r.Rec == prev.Rec {
		return errInvalid("a record of %s, rec %s, cannot follow that of %s, rec %s", r.Place, r.Rec, prev.Place, prev.Rec)
	}
	r.Prev, r.PrevHash = prev.Rec, prev.Hash
	return nil
}

// seal makes the core of every box, on all processors: it is nearly the whole cost
// of a rekey.
func (m *recordMaker) seal() ([][]byte, error) {
	cores, next := make([][]byte, len(m.members)), atomic.Int64{}
	faults := make([]error, min(runtime.GOMAXPROCS(0), len(m.members)))
	var wg sync.WaitGroup
	for w := range faults {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(cores)) && faults[w] == nil; i = next.Add(1) - 1 {
				to := m.members[i]
				var ct []byte
				ct, faults[w] = sealTo(m.record.Place, m.cfg.Key, to)
				cores[i] = newBoxCore(boxOfRecord, to.Hash, ct)
			}
		})
	}
	wg.Wait()
	return cores, cmp.Or(faults...)
}

// finish builds the tree over the boxes, and signs.
func (m *recordMaker) finish(cores [][]byte) (Rekeyed, error) {
	leaves, paths := make([]Hash, len(cores)), make([][]Hash, len(cores))
	for i, c := range cores {
		leaves[i] = leafOf(string(m.members[i].User), m.members[i].Hash, c)
	}
	m.record.root = growTree(leaves, paths)
	row, err := m.sign()
	if err != nil {
		return Rekeyed{}, err
	}
	r, err := VerifyRecord(row) // detects an identity that signs for another user
	if err != nil {
		return Rekeyed{}, err
	}
	key, err := NewEpochKey(r, m.cfg.Key)
	if err != nil {
		return Rekeyed{}, err
	}
	out := Rekeyed{Record: row, Key: key, Keys: make([]core.SealedKey, len(cores))}
	for i, c := range cores {
		out.Keys[i] = sealedKey(r.Place, m.members[i].User, recordBox(c, i, paths[i]), r.Maker, r.Time)
	}
	return out, nil
}

func (m *recordMaker) sign() (core.EpochRecord, error) {
	r := &m.record
	copy(r.commit[:], expand(extract(r.Place, m.cfg.Key), "commitment"))
	r.body = r.appendBody(nil)
	if m.cfg.PrevKey != nil {
		r.tag = m.cfg.PrevKey.link(r.body)
	}
	b := append(r.body[:len(r.body):len(r.body)], r.tag[:]...)
	b, err := appendSignature(b, m.cfg.By, labelRecord, b)
	return core.EpochRecord{Room: r.Room, Epoch: r.Epoch, Rec: r.Rec, Prev: r.Prev, Record: b}, err
}
