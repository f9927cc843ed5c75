package seal

import (
	"encoding/json"
	"testing"

	"unibus/core"
)

// history is three epochs of a room made by ann for ann and bob.
func history(t *testing.T) (ann, bob person, epochs []Rekeyed) {
	t.Helper()
	ann, bob = newPerson(t, "ann"), newPerson(t, "bob")
	first := rekey(t, nil, ann, ann, bob)
	second := rekey(t, first.Key, ann, ann, bob)
	return ann, bob, []Rekeyed{first, second, rekey(t, second.Key, ann, ann, bob)}
}

func TestChainIsFollowed(t *testing.T) {
	t.Parallel()
	_, bob, h := history(t)
	c := NewChain("lobby")
	if _, known := c.Head(); known {
		t.Error("an empty chain has a head")
	}
	r, err := c.TrustFirst(h[0].Record)
	ok(t, err)
	for i := 1; i < len(h); i++ {
		o, err := OpenBox(r, boxOf(t, h[i-1], bob), bob.user, bob.kem)
		ok(t, err)
		r, err = c.Advance(h[i].Record, o.Key)
		ok(t, err)
		if head, _ := c.Head(); head.Epoch != h[i].Record.Epoch || head.Hash != r.Hash {
			t.Errorf("the head is %+v", head)
		}
		_, err = c.Advance(h[i].Record, nil) // again: nothing to do
		ok(t, err)
	}
	for _, e := range h[:2] {
		_, err := c.Advance(e.Record, nil)
		refused(t, err, ErrRollback)
	}
}

func TestHeadIsKeptOnDisk(t *testing.T) {
	t.Parallel()
	_, _, h := history(t)
	c := NewChain("lobby")
	_, err := c.TrustFirst(h[1].Record)
	ok(t, err)
	head, _ := c.Head()
	text, err := json.Marshal(head)
	ok(t, err)
	var kept Head
	ok(t, json.Unmarshal(text, &kept))
	if kept != head {
		t.Fatalf("%s came back as %+v", text, kept)
	}
	c = ResumeChain(kept)
	if _, err := c.Advance(h[2].Record, h[1].Key); err != nil {
		t.Error(err)
	}
	_, err = ResumeChain(kept).Advance(h[0].Record, nil)
	refused(t, err, ErrRollback)
	for _, bad := range []string{`"xx"`, `"00"`, `""`} {
		var sum Hash
		invalid(t, sum.UnmarshalText([]byte(bad)))
	}
}

// TestServerThatSwapsRecordsIsFound, each attack by its own error.
func TestServerThatSwapsRecordsIsFound(t *testing.T) {
	t.Parallel()
	ann, bob, h := history(t)
	sybil := newPerson(t, "sybil")
	head := headOf(h[0].Key.record)
	make2 := func(change func(c *RecordConfig)) core.EpochRecord {
		cfg := RecordConfig{
			Room: "lobby", Epoch: 2, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(sybil, ann, bob), By: sybil, At: start,
			Reason: ReasonAge, Prev: &h[0].Key.record,
		}
		change(&cfg)
		r, err := MakeRecord(cfg)
		ok(t, err)
		return r.Record
	}
	flipped := h[1].Record
	flipped.Record = append([]byte(nil), flipped.Record...)
	flipped.Record[len(flipped.Record)-70] ^= 1
	other := rekey(t, nil, sybil, sybil, bob)
	moved := h[1].Record
	moved.Epoch = 3
	alike, err := MakeRecord(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: h[0].Record.Rec, Key: h[0].Key.RoomKey(), Members: keysOf(ann, bob), By: bob, At: start, Reason: ReasonFirst,
	})
	ok(t, err)

	for name, c := range map[string]struct {
		row  core.EpochRecord
		want Fault
	}{
		"made by a user of the server's": {make2(func(*RecordConfig) {}), ErrLink},
		"linked to a key of the server's": {make2(func(c *RecordConfig) {
			forged := *h[0].Key
			forged.prk = make([]byte, 32)
			c.PrevKey = &forged
		}), ErrLink},
		"altered":                           {flipped, ErrRecord},
		"moved to another epoch":            {moved, ErrRecord},
		"of another room":                   {func() core.EpochRecord { r := h[1].Record; r.Room = "attic"; return r }(), ErrRecord},
		"after another record":              {rekey(t, other.Key, sybil, sybil, bob).Record, ErrChain},
		"after another one of that name":    {rekey(t, alike.Key, ann, ann, bob).Record, ErrChain},
		"a first one again, a number later": {make2(func(c *RecordConfig) { c.Prev = nil }), ErrChain},
		"one left out":                      {h[2].Record, ErrGap},
		"another of the epoch that is known": {
			other.Record, ErrFork,
		},
		"not a record": {core.EpochRecord{Room: "lobby", Epoch: 2, Rec: "a", Prev: head.Rec, Record: []byte("{}")}, ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := ResumeChain(head)
			_, err := chain.Advance(c.row, h[0].Key)
			refused(t, err, c.want)
			if now, _ := chain.Head(); now != head {
				t.Errorf("a refused record moved the head to %+v", now)
			}
		})
	}
}

func TestWhatAServerSaysOfARoom(t *testing.T) {
	t.Parallel()
	_, _, h := history(t)
	c := ResumeChain(headOf(h[1].Key.record))
	right := core.Room{ID: "lobby", Encrypted: true, Epoch: 2, Rec: h[1].Record.Rec}
	ok(t, c.Check(right))
	ok(t, NewChain("lobby").Check(core.Room{ID: "lobby"}))
	for name, x := range map[string]struct {
		change func(r *core.Room)
		want   Fault
	}{
		"an older epoch":     {func(r *core.Room) { r.Epoch = 1 }, ErrRollback},
		"not encrypted":      {func(r *core.Room) { r.Encrypted = false }, ErrRollback},
		"another rec":        {func(r *core.Room) { r.Rec = "other" }, ErrFork},
		"more than is known": {func(r *core.Room) { r.Epoch = 3 }, ErrGap},
	} {
		r := right
		x.change(&r)
		t.Log(name)
		refused(t, c.Check(r), x.want)
	}
	invalid(t, c.Check(core.Room{ID: "attic"}))
}

// TestAfterAGap: a member who was out of a room for an epoch follows by decision alone.
func TestAfterAGap(t *testing.T) {
	t.Parallel()
	ann, bob, h := history(t)
	c := ResumeChain(headOf(h[0].Key.record))
	_, err := c.AdvanceUnlinked(h[1].Record)
	ok(t, err)
	_, err = c.Advance(h[2].Record, nil)
	invalid(t, err)
	_, err = c.Advance(h[2].Record, h[0].Key) // the key of another epoch
	invalid(t, err)
	r, err := c.AdvanceUnlinked(h[2].Record)
	ok(t, err)
	if r.Maker != ann.user {
		t.Errorf("made by %s", r.Maker)
	}
	_, err = OpenBox(r, boxOf(t, h[2], bob), bob.user, bob.kem)
	ok(t, err)

	_, err = NewChain("lobby").AdvanceUnlinked(h[1].Record)
	invalid(t, err)
	_, err = c.TrustFirst(h[0].Record)
	invalid(t, err)
	_, err = NewChain("attic").TrustFirst(h[0].Record)
	refused(t, err, ErrRecord)
	_, err = ResumeChain(headOf(h[0].Key.record)).AdvanceUnlinked(h[2].Record)
	refused(t, err, ErrGap)
}

// TestFirstRecordAboveLegacyKeys: epochs that were moved from an old database have no records.
func TestFirstRecordAboveLegacyKeys(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	made, err := MakeRecord(RecordConfig{
		Room: "lobby", Epoch: 8, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann), By: ann, At: start, Reason: ReasonFirst,
	})
	ok(t, err)
	if made.Record.Prev != core.LegacyRec {
		t.Errorf("it follows %q", made.Record.Prev)
	}
	c := NewChain("lobby")
	_, err = c.TrustFirst(made.Record)
	ok(t, err)
	_, err = c.Advance(rekey(t, made.Key, ann, ann).Record, made.Key)
	ok(t, err)
}
