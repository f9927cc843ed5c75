package seal

import (
	"errors"
	"testing"
	"time"

	"unibus/core"
)

func TestEveryBitOfARecordIsSigned(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	first := rekey(t, nil, ann, ann)
	row := rekey(t, first.Key, ann, ann).Record
	whole := row.Record
	if want := 277 + len("lobby") + len(row.Rec) + len(row.Prev); len(whole) != want {
		t.Errorf("a record of %d bytes, DESIGN.md says %d", len(whole), want)
	}
	eachBit(whole, func(what string, flipped []byte) {
		row.Record = flipped
		if _, err := VerifyRecord(row); !errors.Is(err, ErrRecord) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
	cuts(whole, func(what string, cut []byte) {
		row.Record = cut
		if _, err := VerifyRecord(row); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
}

func TestRecordStaysInItsRow(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	first := rekey(t, nil, ann, ann)
	row := rekey(t, first.Key, ann, ann).Record
	for name, change := range map[string]func(r *core.EpochRecord){
		"room":  func(r *core.EpochRecord) { r.Room = "attic" },
		"epoch": func(r *core.EpochRecord) { r.Epoch++ },
		"rec":   func(r *core.EpochRecord) { r.Rec = "other" },
		"prev":  func(r *core.EpochRecord) { r.Prev = "other" },
	} {
		moved := row
		change(&moved)
		if _, err := VerifyRecord(moved); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	row.Record = nil
	_, err := VerifyRecord(row)
	refused(t, err, ErrFormat)
	// Above epochs that had boxes and no records the store names what was before, and the first record nothing.
	first.Record.Prev = "ofaboxwithoutone"
	_, err = VerifyRecord(first.Record)
	ok(t, err)
}

// TestRecordSaysWhatItWasMadeOf also keeps a second maker from taking over the first one's record.
func TestRecordSaysWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	made := rekey(t, nil, ann, ann, bob)
	r, err := VerifyRecord(made.Record)
	ok(t, err)
	if r.Maker != ann.user || r.Count != 2 || r.Time != start || r.Reason != ReasonFirst || !r.First() || r.Place != (Place{"lobby", 1, made.Record.Rec}) {
		t.Errorf("%+v", r)
	}
	stolen := r
	stolen.Maker = bob.user
	b := stolen.appendBody(nil)
	b = append(append(b, r.tag[:]...), made.Record.Record[len(made.Record.Record)-signatureSize:]...)
	_, err = VerifyRecord(core.EpochRecord{Room: r.Room, Epoch: r.Epoch, Rec: r.Rec, Prev: r.Prev, Record: b})
	refused(t, err, ErrRecord)
}

// TestFirstRecordFollowsNothing: one that says so and carries a hash or a link is none, signed or not.
func TestFirstRecordFollowsNothing(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	m, err := newRecordMaker(RecordConfig{
		Room: "lobby", Epoch: 1, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann), By: ann, At: start, Reason: ReasonFirst,
	})
	ok(t, err)
	_, err = m.sign()
	ok(t, err)
	for _, change := range []func(r *Record){func(r *Record) { r.PrevHash[0] = 1 }, func(r *Record) { r.tag[0] = 1 }} {
		odd := *m
		change(&odd.record)
		row, err := odd.sign()
		ok(t, err)
		_, err = VerifyRecord(row)
		refused(t, err, ErrFormat)
	}
}

// TestOtherVersionsAreTold apart from damage and forgery.
func TestOtherVersionsAreTold(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	made := rekey(t, nil, ann, ann)
	published, err := ann.kem.Publish(ann, start)
	ok(t, err)
	row, record := boxOf(t, made, ann), made.Record
	for what, c := range map[string]struct {
		b    []byte
		read func(b []byte) error
	}{
		"KEM key": {published, func(b []byte) error { _, err := ParseKEMKey(ann.user, b); return err }},
		"record": {record.Record, func(b []byte) error {
			record.Record = b
			_, err := VerifyRecord(record)
			return err
		}},
		"box": {row.Box, func(b []byte) error {
			row.Box = b
			_, err := OpenBox(made.Key.record, row, ann.user, ann.kem)
			return err
		}},
		"message": {sealed(t, made.Key, ann, "text"), func(b []byte) error {
			_, err := receiver(t, ReceiverConfig{}, made.Key).Open(ann.user, b)
			return err
		}},
	} {
		ok(t, c.read(c.b))
		for i := range 2 {
			b := append([]byte(nil), c.b...)
			b[i]++
			if err := c.read(b); !errors.Is(err, ErrFormat) {
				t.Errorf("%s, byte %d: %v", what, i, err)
			}
		}
	}
}

func TestMakeRecordRefuses(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	prev := rekey(t, nil, ann, ann, bob)
	for name, change := range map[string]func(c *RecordConfig){
		"a room's id with a dot":     func(c *RecordConfig) { c.Room = "a.b" },
		"a room's id with wildcards": func(c *RecordConfig) { c.Room = "*" },
		"no rec":                     func(c *RecordConfig) { c.Rec = "" },
		"the rec of legacy keys":     func(c *RecordConfig) { c.Rec = core.LegacyRec },
		"the rec of the one before":  func(c *RecordConfig) { c.Rec = prev.Record.Rec },
		"a rec with a space":         func(c *RecordConfig) { c.Rec = "a b" },
		"no reason":                  func(c *RecordConfig) { c.Reason = 0 },
		"an unknown reason":          func(c *RecordConfig) { c.Reason = 99 },
		"a member twice":             func(c *RecordConfig) { c.Members = keysOf(ann, bob, ann) },
		"an unchecked key":           func(c *RecordConfig) { c.Members[1].key = nil },
		"a maker without a box":      func(c *RecordConfig) { c.Members = keysOf(bob) },
		"an epoch left out":          func(c *RecordConfig) { c.Epoch++ },
		"another room's key before":  func(c *RecordConfig) { c.Room = "attic" },
	} {
		cfg := RecordConfig{
			Room: "lobby", Epoch: 2, Rec: NewRec(), Key: NewRoomKey(), Members: keysOf(ann, bob), By: ann, At: start,
			Reason: ReasonAge, PrevKey: prev.Key,
		}
		_, err := MakeRecord(cfg)
		ok(t, err)
		change(&cfg)
		if _, err := MakeRecord(cfg); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := MakeRecord(RecordConfig{Room: "lobby", Rec: "a", By: ann, Reason: ReasonFirst})
	refused(t, err, ErrLimit)
	_, err = MakeRecord(RecordConfig{Room: "lobby", Rec: "a", By: ann, Reason: ReasonFirst, Members: make([]KEMKey, MaxMembers+1)})
	refused(t, err, ErrLimit)
}

func TestRekeyIsDue(t *testing.T) {
	t.Parallel()
	r := Record{Time: start}
	made := start.Time()
	for _, c := range []struct {
		after    time.Duration
		messages uint64
		want     Reason
	}{
		{0, 0, 0},
		{MaxAge - time.Millisecond, MaxMessages - 1, 0},
		{MaxAge, 0, ReasonAge},
		{0, MaxMessages, ReasonMessages},
		{-time.Hour, 0, 0}, // a clock off by an hour is no reason
		{-25 * time.Hour, 0, ReasonAge},
	} {
		got, due := r.RekeyDue(made.Add(c.after), c.messages)
		if got != c.want || due != (c.want != 0) {
			t.Errorf("after %s and %d messages: %s, %v", c.after, c.messages, got, due)
		}
	}
	if ReasonAge.String() != "age" || Reason(0).String() != "reason 0" || Reason(8).String() != "reason 8" {
		t.Error("reasons have no words")
	}
}

// TestPromisedNumbers: SECURITY.md promises them, so they stand here a second time.
func TestPromisedNumbers(t *testing.T) {
	t.Parallel()
	if MaxAge != 7*24*time.Hour {
		t.Errorf("a key is kept for %s, 7 days are promised", MaxAge)
	}
	if MaxMessages != 100_000 {
		t.Errorf("a key is kept for %d messages, 100,000 are promised", MaxMessages)
	}
}

func TestRekeyOfAThousandMembers(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	people := crowd(t, ann, 1000)
	began := time.Now()
	r := rekey(t, nil, ann, people...)
	took := time.Since(began)
	t.Logf("%d boxes of %d bytes and a record of %d in %s", len(r.Keys), len(r.Keys[0].Box), len(r.Record.Record), took)
	if took > 5*time.Second { // the figure is the benchmark's; this only has to hold on a loaded machine
		t.Errorf("a rekey of %d members took %s", len(people), took)
	}
	if n := len(r.Keys[0].Box); n != 1528 {
		t.Errorf("a box of %d bytes", n)
	}
	for _, i := range []int{0, 1, 499, 511, 512, 998, 999} {
		p := people[i]
		_, err := OpenBox(r.Key.record, boxOf(t, r, p), p.user, p.kem)
		ok(t, err)
	}
}

// crowd is ann and n-1 others.
func crowd(t testing.TB, ann person, n int) []person {
	t.Helper()
	out := []person{ann}
	for i := 1; i < n; i++ {
		out = append(out, newPerson(t, string(rune('a'+i%26))+time.Duration(i).String()))
	}
	return out
}
