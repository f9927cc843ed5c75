package doctor

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// fakeRows is a control plane in memory.
type fakeRows struct {
	core.Snapshot
	index []core.Row
	more  []core.Row // rows that cannot be decoded
	fault error
}

func (f *fakeRows) ExportRows(_ context.Context, each func(core.Row) error) error {
	for _, t := range []core.Table{core.TableMembers, core.TableRooms, core.TableRoomKeys, core.TableUsers} {
		for _, r := range f.Rows(t) {
			if err := each(r); err != nil {
				return err
			}
		}
	}
	for _, r := range f.more {
		if err := each(r); err != nil {
			return err
		}
	}
	return f.fault
}

func (f *fakeRows) Keys(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		rows := f.Rows(t)
		if t == core.TableRoomsByMember {
			rows = f.index
		}
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// TestRowsThatDoNotFitAreNamed: each fault by its bucket and key, in its own check.
func TestRowsThatDoNotFitAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change      func(f *fakeRows)
		check, text string // of the check that is wrong; "": none
	}{
		"all is well":             {func(*fakeRows) {}, "", ""},
		"a member without a room": {func(f *fakeRows) { f.Rooms = nil }, checkRooms, "UNIBUS_room_keys r1.1.a.U1 there is no room r1"},
		"a member without a user": {func(f *fakeRows) { f.Users = f.Users[:1] }, checkUsers, "UNIBUS_members r1.U2 there is no user U2"},
		"an owner who is missing": {func(f *fakeRows) { f.Rooms[0].Owner = "U9" }, checkUsers, "UNIBUS_rooms r1 there is no user U9"},
		"a key for no user":       {func(f *fakeRows) { f.Snapshot.Keys[0].User = "U9" }, checkUsers, "UNIBUS_room_keys r1.1.a.U9 there is no user U9"},
		"an entry is missing":     {func(f *fakeRows) { f.index = f.index[:1] }, checkIndex, "UNIBUS_rooms_by_member U2.r1 the entry is missing"},
		"an entry too many":       {func(f *fakeRows) { f.Members = f.Members[:1] }, checkIndex, "UNIBUS_rooms_by_member U2.r1 there is no such member"},
		"an entry is old":         {func(f *fakeRows) { f.Members[1].State = core.MemberRemoved }, checkIndex, "the member has another state"},
		"a damaged row":           {func(f *fakeRows) { f.more = []core.Row{{Table: core.TableUsers, Key: "U3", Value: []byte("{")}} }, checkRead, "UNIBUS_users U3"},
		"a newer row":             {func(f *fakeRows) { f.more = []core.Row{{Table: core.TableUsers, Key: "U3", Value: []byte(`{"v":3}`)}} }, checkRead, "its version is 3, and this program knows 2"},
		"damage that ends it":     {func(f *fakeRows) { f.fault = core.Errorf(core.KindFailed, "n1 cannot read 1 of 9 keys") }, checkRead, ""},
	} {
		f := &fakeRows{Snapshot: core.Snapshot{
			Users:   []core.User{{ID: "U1", Role: core.RoleMember, Status: core.UserActive}, {ID: "U2", Role: core.RoleMember, Status: core.UserActive}},
			Rooms:   []core.Room{{ID: "r1", Owner: "U1", Epoch: 1, Rec: "a", State: core.RoomActive}},
			Members: []core.Member{{Room: "r1", User: "U1", State: core.MemberActive}, {Room: "r1", User: "U2", State: core.MemberActive}},
			Keys:    []core.SealedKey{{Room: "r1", Epoch: 1, Rec: "a", User: "U1", Box: []byte("x")}},
		}}
		f.index = f.Rows(core.TableRoomsByMember)
		test.change(f)
		wrong, text := "", ""
		for _, c := range checkRowsWithin(t.Context(), f, limits{reads: 2, pause: time.Nanosecond}) {
			if c.State == Unknown || c.State == Wrong && (c.Means == "" || c.Next == "") {
				t.Errorf("%s: %+v", name, c)
			}
			if c.State == Wrong {
				wrong += c.Name
			}
			for _, x := range c.Faults {
				text += x.Bucket + " " + x.Key + " " + x.Text + "; "
			}
		}
		if wrong != test.check || !strings.Contains(text, test.text) {
			t.Errorf("%s: %q is wrong, want %q: %s", name, wrong, test.check, text)
		}
	}
}

// TestRowsOnTheirWayAreNoFault: an entry comes after its member.
func TestRowsOnTheirWayAreNoFault(t *testing.T) {
	t.Parallel()
	f := &lateIndex{fakeRows: fakeRows{Snapshot: core.Snapshot{Members: []core.Member{{Room: "r1", User: "U1", State: core.MemberActive}}}}}
	if c := checkIndexRows(t.Context(), f, limits{reads: 3, pause: time.Nanosecond}); c.State != OK {
		t.Errorf("%+v", c)
	}
}

// lateIndex has its entry at the second reading.
type lateIndex struct {
	fakeRows
	reads int
}

func (l *lateIndex) Keys(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	if t == core.TableRoomsByMember {
		if l.reads++; l.reads > 1 {
			l.index = l.Rows(t)
		}
	}
	return l.fakeRows.Keys(ctx, t)
}

// TestOnlyWhatStaysIsAFault: at each reading another entry is missing.
func TestOnlyWhatStaysIsAFault(t *testing.T) {
	t.Parallel()
	f := &busyIndex{fakeRows: fakeRows{Snapshot: core.Snapshot{Members: []core.Member{
		{Room: "r1", User: "U1", State: core.MemberActive}, {Room: "r1", User: "U2", State: core.MemberActive},
	}}}}
	if c := checkIndexRows(t.Context(), f, limits{reads: 4, pause: time.Nanosecond}); c.State != OK {
		t.Errorf("%+v", c)
	}
}

// busyIndex lacks another entry at each reading.
type busyIndex struct {
	fakeRows
	reads int
}

func (b *busyIndex) Keys(ctx context.Context, t core.Table) iter.Seq2[core.Row, error] {
	if t == core.TableRoomsByMember {
		b.reads++
		b.index = b.Rows(t)[b.reads%2:][:1]
	}
	return b.fakeRows.Keys(ctx, t)
}
