package seal

import "unibus/core"

// Head is the newest record of a room that a client has followed. It must be kept
// on disk: a rollback is detected by it.
type Head struct {
	Room  core.RoomID `json:"room"`
	Epoch core.Epoch  `json:"epoch"`
	Rec   string      `json:"rec"`
	Hash  Hash        `json:"hash"`

	Members *MembershipHead `json:"members,omitempty"` // that the record names; nil for a record of version 1
}

func headOf(r Record) Head { return Head{r.Room, r.Epoch, r.Rec, r.Hash, r.Members} }

// Chain follows the records of one room, one after the other. It is not safe for concurrent use.
type Chain struct {
	room  core.RoomID
	head  *Head
	known map[core.Epoch]Hash
}

// NewChain starts with nothing known of a room.
func NewChain(room core.RoomID) *Chain {
	return &Chain{room: room, known: map[core.Epoch]Hash{}}
}

// ResumeChain starts from a head that was kept.
func ResumeChain(h Head) *Chain {
	c := NewChain(h.Room)
	c.head = &h
	c.known[h.Epoch] = h.Hash
	return c
}

// Head is the newest record that was followed; false while there is none.
func (c *Chain) Head() (Head, bool) {
	if c.head == nil {
		return Head{}, false
	}
	return *c.head, true
}

// TrustFirst trusts the first record: its signature holds, and there is nothing to
// compare it with. Show its maker. KindInvalid if a head is known already.
func (c *Chain) TrustFirst(row core.EpochRecord) (Record, error) {
	r, err := c.verify(row)
	if err != nil {
		return Record{}, err
	}
	if c.head != nil {
		return Record{}, errInvalid("the room %s has a head already, epoch %d: its records are followed from there", c.room, c.head.Epoch)
	}
	c.setHead(r)
	return r, nil
}

// Advance follows the record after the head. prev is the key of the head's epoch.
// ErrFormat, ErrRecord; ErrChain, ErrLink; ErrGap if records between are missing;
// ErrRollback, ErrFork if it is not newer than the head. The head's own record is
// no error.
func (c *Chain) Advance(row core.EpochRecord, prev *EpochKey) (Record, error) {
	r, known, err := c.verifyNext(row)
	if err != nil || known {
		return r, err
	}
	if prev == nil || prev.record.Hash != c.head.Hash {
		return Record{}, errInvalid("to follow the record of %s takes the key of epoch %d; without it there is AdvanceUnlinked", r.Place, c.head.Epoch)
	}
	if err := r.linked(prev); err != nil {
		return Record{}, err
	}
	c.setHead(r)
	return r, nil
}

// AdvanceUnlinked is Advance without the key of the head's epoch: nothing proves
// that the maker was a member. A person must see the maker and decide.
func (c *Chain) AdvanceUnlinked(row core.EpochRecord) (Record, error) {
	r, known, err := c.verifyNext(row)
	if err == nil && !known {
		c.setHead(r)
	}
	return r, err
}

// verifyNext verifies the record after the head; known is true for the head's own
// record.
func (c *Chain) verifyNext(row core.EpochRecord) (r Record, known bool, err error) {
	if r, err = c.verify(row); err != nil {
		return Record{}, false, err
	}
	switch {
	case c.head == nil:
		return Record{}, false, errInvalid("nothing is known of the room %s: its first record is for TrustFirst", c.room)
	case r.Epoch <= c.head.Epoch:
		if err := c.checkKnown(r); err != nil {
			return Record{}, false, err
		}
		return r, true, nil
	case r.Epoch > c.head.Epoch+1:
		return Record{}, false, errFault(ErrGap, "the record of %s came, and epoch %d is the last that is known", r.Place, c.head.Epoch)
	}
	if err := r.follows(*c.head); err != nil {
		return Record{}, false, err
	}
	return r, false, nil
}

// checkKnown checks a record that is not newer than the head.
func (c *Chain) checkKnown(r Record) error {
	if h, ok := c.known[r.Epoch]; ok && h != r.Hash {
		return c.fork(r.Epoch)
	}
	if r.Epoch == c.head.Epoch {
		return nil
	}
	return errFault(ErrRollback, "the record of %s came, and epoch %d is known", r.Place, c.head.Epoch)
}

func (c *Chain) fork(e core.Epoch) error {
	return errFault(ErrFork, "the room %s, epoch %d, has another record than the one that is known", c.room, e)
}

// Check compares a server's answer about the room with the head. ErrRollback if the epoch is older
// than the head, or the room is no longer encrypted; ErrFork if the record is
// another one; ErrGap if there are newer records to fetch.
func (c *Chain) Check(r core.Room) error {
	switch {
	case r.ID != c.room:
		return errInvalid("the room is %s, not %s", r.ID, c.room)
	case c.head == nil:
		return nil
	case !r.Encrypted:
		return errFault(ErrRollback, "the server says that the room %s is not encrypted, and its key of epoch %d is known", c.room, c.head.Epoch)
	case r.Epoch < c.head.Epoch:
		return errFault(ErrRollback, "the server says that the room %s is at epoch %d, and epoch %d is known", c.room, r.Epoch, c.head.Epoch)
	case r.Epoch > c.head.Epoch:
		return errFault(ErrGap, "the room %s is at epoch %d, and the records are followed to epoch %d", c.room, r.Epoch, c.head.Epoch)
	case r.Rec != c.head.Rec:
		return c.fork(r.Epoch)
	}
	return nil
}

func (c *Chain) verify(row core.EpochRecord) (Record, error) {
	if row.Room != c.room {
		return Record{}, errFault(ErrRecord, "the record is of the room %s, not %s", row.Room, c.room)
	}
	return VerifyRecord(row)
}

func (c *Chain) setHead(r Record) {
	h := headOf(r)
	c.head = &h
	c.known[r.Epoch] = r.Hash
}
