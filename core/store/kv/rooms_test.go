package kv

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

func TestJetStreamStoreRoomsCRUD(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	s, other := on.open(t, 0, 3), on.open(t, 2, 3)
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	r := storetest.NewRoom("kitchen", u.ID)
	mustDo(t, s.CreateRoom(ctx, r))
	mustDo(t, s.PutMember(ctx, storetest.NewMember(r.ID, u.ID)))
	if d := cmp.Diff(r, must[core.Room](t)(other.Room(ctx, r.ID))); d != "" {
		t.Errorf("the room read at another node (-want +got):\n%s", d)
	}
	mustDo(t, s.PutKey(ctx, storetest.NewKey(r.ID, 0, u.ID)))
	recs := map[string]bool{core.LegacyRec: true}
	for epoch := range core.Epoch(8) { // beyond nearEpochs
		moved := must[core.Room](t)(storetest.Rekey(ctx, s, r.ID, epoch, []core.SealedKey{storetest.NewKey(r.ID, 0, u.ID)}))
		if moved.Epoch != epoch+1 || recs[moved.Rec] {
			t.Fatalf("rekeyed from %d to %+v", epoch, moved)
		}
		recs[moved.Rec] = true
		if d := cmp.Diff(moved, must[core.Room](t)(other.Room(ctx, r.ID))); d != "" {
			t.Fatalf("the latest epoch at another node (-want +got):\n%s", d)
		}
	}
	for epoch := range core.Epoch(9) {
		k := must[core.SealedKey](t)(other.Key(ctx, r.ID, epoch, u.ID))
		if k.Epoch != epoch || (epoch == 0) != (k.Rec == core.LegacyRec) {
			t.Errorf("the key of epoch %d came as %+v", epoch, k)
		}
	}
	snap := must[core.Snapshot](t)(exportFromWatch(ctx, other))
	if len(snap.Keys) != 9 || len(snap.Records) != 8 {
		t.Errorf("exported %d keys and %d records, want 9 and 8", len(snap.Keys), len(snap.Records))
	}
	if holders := must[[]core.UserID](t)(other.KeyHolders(ctx, r.ID)); len(holders) != 1 || holders[0] != u.ID {
		t.Errorf("the holders of the key are %v", holders)
	}
	if rooms := must[[]core.RoomID](t)(other.RoomsOf(ctx, u.ID)); len(rooms) != 1 || rooms[0] != r.ID {
		t.Errorf("the rooms of the member are %v", rooms)
	}
}

// Of many rekeys at once one wins, and only its boxes count.
func TestRekeyRace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	stores := []*Store{on.open(t, 0, 3), on.open(t, 1, 3), on.open(t, 2, 3)}
	var users []core.User
	for i := range 4 {
		users = append(users, storetest.NewUser(t, fmt.Sprint(i)))
		mustDo(t, stores[0].AddUser(ctx, users[i]))
	}
	mustDo(t, stores[0].CreateRoom(ctx, storetest.NewRoom("r", users[0].ID)))

	errs := make([]error, 6)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			var keys []core.SealedKey
			for _, u := range users {
				k := storetest.NewKey("r", 1, u.ID)
				k.Box = fmt.Appendf(nil, "racer %d", i)
				keys = append(keys, k)
			}
			_, errs[i] = storetest.Rekey(ctx, stores[i%3], "r", 0, keys)
		})
	}
	all.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("both %d and %d won", winner, i)
		case err == nil:
			winner = i
		default:
			wantKind(t, err, core.KindConflict)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	snap := must[core.Snapshot](t)(exportFromWatch(ctx, stores[0]))
	if len(snap.Keys) != len(users) || len(snap.Records) != 1 {
		t.Errorf("exported %d keys and %d records, want the winner's %d and 1", len(snap.Keys), len(snap.Records), len(users))
	}
	for _, k := range snap.Keys {
		if want := fmt.Sprintf("racer %d", winner); string(k.Box) != want {
			t.Errorf("a box of %q was exported, the winner is %q", k.Box, want)
		}
	}
	if n := must[core.Counts](t)(stores[1].Counts(ctx)); n.Keys != len(users) {
		t.Errorf("counted %d keys, want %d", n.Keys, len(users))
	}
}

// Boxes larger than one batch are written all the same.
func TestRekeyInSeveralBatches(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	mustDo(t, s.CreateRoom(ctx, storetest.NewRoom("r", u.ID)))
	var keys []core.SealedKey
	for range 40 {
		member := storetest.NewUser(t, "member")
		mustDo(t, s.AddUser(ctx, member))
		k := storetest.NewKey("r", 1, member.ID)
		k.Box = make([]byte, 30<<10)
		keys = append(keys, k)
	}
	must[core.Room](t)(storetest.Rekey(ctx, s, "r", 0, keys))
	if holders := must[[]core.UserID](t)(s.KeyHolders(ctx, "r")); len(holders) != 40 {
		t.Errorf("%d holders, want 40", len(holders))
	}
}

// TestMemberCounts: a record that cannot be read has no count for its own room, and for all.
func TestMemberCounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	must[int](t)(storetest.Import(ctx, s, storetest.TwoRooms(t)))
	got := must[map[core.RoomID]int](t)(s.MemberCounts(ctx, []core.RoomID{"a", "a-b", "none"}))
	if d := cmp.Diff(map[core.RoomID]int{"a": 2, "a-b": 4, "none": 0}, got); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	must[uint64](t)(s.set(ctx, message{key: "a." + string(storetest.NewUserID(t)), value: []byte("{")}, core.TableMembers))
	got = must[map[core.RoomID]int](t)(s.MemberCounts(ctx, []core.RoomID{"a-b"}))
	if d := cmp.Diff(map[core.RoomID]int{"a-b": 4}, got); d != "" {
		t.Errorf("members beside an unreadable one of another room (-want +got):\n%s", d)
	}
	if got, err := s.MemberCounts(ctx, []core.RoomID{"a-b", "a"}); err == nil || got != nil {
		t.Errorf("with an unreadable member: %v, %v", got, err)
	}
	if n, err := s.Counts(ctx); err == nil || n.Members != 0 && n.Rooms != 0 {
		t.Errorf("counts with an unreadable member: %+v, %v", n, err)
	}
}
