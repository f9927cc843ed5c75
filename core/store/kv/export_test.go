package kv

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

func exportedTables() []core.Table {
	return []core.Table{core.TableMembers, core.TableRooms, core.TableRoomKeys, core.TableUsers}
}

// exported collects an export, and fails where tables or keys come out of order.
func exported(t *testing.T, s *Store) map[core.Table][]core.Row {
	t.Helper()
	out := map[core.Table][]core.Row{}
	var order []core.Table
	mustDo(t, s.ExportRows(t.Context(), func(r core.Row) error {
		if have := out[r.Table]; len(have) == 0 {
			order = append(order, r.Table)
		} else if have[len(have)-1].Key >= r.Key {
			t.Errorf("%s: %s comes after %s", r.Table, r.Key, have[len(have)-1].Key)
		}
		out[r.Table] = append(out[r.Table], r)
		return nil
	}))
	want := slices.DeleteFunc(exportedTables(), func(table core.Table) bool { return len(out[table]) == 0 })
	if d := cmp.Diff(want, order); d != "" {
		t.Errorf("the tables' order (-want +got):\n%s", d)
	}
	return out
}

func wantExport(t *testing.T, want core.Snapshot, got map[core.Table][]core.Row) {
	t.Helper()
	for _, table := range exportedTables() {
		if d := cmp.Diff(texts(want.Rows(table)), texts(got[table])); d != "" {
			t.Errorf("%s (-want +got):\n%s", table, d)
		}
	}
}

func texts(rows []core.Row) (out []string) {
	for _, r := range rows {
		out = append(out, r.Key+" "+string(r.Value))
	}
	return out
}

// loseRekey leaves behind what a rekey that lost leaves: boxes and a record that no room leads to.
func loseRekey(t *testing.T, s *Store, room core.Room, user core.UserID) {
	t.Helper()
	k := storetest.NewKey(room.ID, room.Epoch+1, user)
	k.Rec = "lost"
	must[int](t)(s.PutRows(t.Context(), []core.Row{
		core.KeyRow(k),
		core.RecordRow(core.EpochRecord{Room: room.ID, Epoch: k.Epoch, Rec: k.Rec, Prev: room.Rec}),
	}))
}

func TestExportRowsHandsOutWhatCounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, memory := range []int{0, 1} { // all in memory; every row through the disk
		s := onCluster(t).openWith(t, 0, Config{Replicas: 3, Timeout: 5 * time.Second, TempDir: t.TempDir(), sortMemory: memory})
		snap := storetest.TwoRooms(t)
		must[int](t)(storetest.Import(ctx, s, snap))
		room := snap.Rooms[0]
		member := snap.Users[0].ID
		for range 11 { // epoch 10 is before epoch 9 in the order of keys
			loseRekey(t, s, room, member)
			room = must[core.Room](t)(storetest.Rekey(ctx, s, room.ID, room.Epoch, []core.SealedKey{storetest.NewKey(room.ID, room.Epoch+1, member)}))
		}
		must[uint64](t)(s.put(ctx, core.TableRooms.Bucket(), message{key: "_barrier.n9", value: []byte("x")}))
		orphan := storetest.NewKey("gone", 0, member)
		orphan.Rec = core.LegacyRec
		must[int](t)(s.PutRows(ctx, []core.Row{core.KeyRow(orphan)}))
		want := must[core.Snapshot](t)(exportFromWatch(ctx, s))
		if len(want.Records) < 11 || len(want.Keys) < 11 {
			t.Fatalf("the sample has %d records and %d keys", len(want.Records), len(want.Keys))
		}
		wantExport(t, want, exported(t, s))

		spaced := core.UserRow(want.Users[0])
		spaced.Value = append([]byte(" "), spaced.Value...)
		must[int](t)(s.PutRows(ctx, []core.Row{spaced}))
		wantExport(t, want, exported(t, s))
	}
}

// A backup that leaves out what it cannot read would lie.
func TestExportRowsOfADamagedRecord(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	must[int](t)(storetest.Import(ctx, s, storetest.TwoRooms(t)))
	for _, table := range exportedTables() {
		var good core.Row
		for r, err := range s.Keys(ctx, table) {
			mustDo(t, err)
			good = r
		}
		bad := core.Row{Table: table, Key: good.Key, Value: []byte("not JSON")}
		must[int](t)(s.PutRows(ctx, []core.Row{bad}))
		err := s.ExportRows(ctx, func(core.Row) error { return nil })
		wantKind(t, err, core.KindFailed)
		if err == nil || !strings.Contains(err.Error(), bad.Key) {
			t.Errorf("%s: the error does not name %s: %v", table, bad.Key, err)
		}
		must[int](t)(s.PutRows(ctx, []core.Row{good}))
	}
	enough := core.Errorf(core.KindFailed, "enough")
	if err := s.ExportRows(ctx, func(core.Row) error { return enough }); err != enough { //nolint:errorlint // handed through as it is
		t.Errorf("the caller's error came back as %v", err)
	}
}

// A room that is rekeyed after it was handed out has the keys that it had then.
func TestExportRowsWithARekeyBetweenRoomsAndKeys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	snap := storetest.TwoRooms(t)
	must[int](t)(storetest.Import(ctx, s, snap))
	want := must[core.Snapshot](t)(exportFromWatch(ctx, s))
	got, rekeyed := map[core.Table][]core.Row{}, false
	mustDo(t, s.ExportRows(ctx, func(r core.Row) error {
		got[r.Table] = append(got[r.Table], r)
		if r.Table != core.TableRooms || rekeyed {
			return nil
		}
		rekeyed = true
		for _, room := range snap.Rooms {
			keys := []core.SealedKey{storetest.NewKey(room.ID, room.Epoch+1, snap.Users[0].ID)}
			if _, err := storetest.Rekey(ctx, s, room.ID, room.Epoch, keys); err != nil {
				return err
			}
		}
		return nil
	}))
	wantExport(t, want, got)
	if after := must[core.Snapshot](t)(exportFromWatch(ctx, s)); len(after.Records) == len(want.Records) {
		t.Error("no room was rekeyed")
	}
}

// While others write, each table is at one revision. Users are written in turn,
// each with the next number: at one revision the numbers have no gap. And
// nothing comes without what it refers to.
func TestExportRowsUnderWriters(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s := on.openWith(t, 0, Config{Replicas: 3, Timeout: 5 * time.Second, TempDir: t.TempDir(), sortMemory: 2000})
	writer := on.open(t, 1, 3)
	const ring = 40
	users := make([]core.User, ring)
	for i := range users {
		users[i] = storetest.NewUser(t, fmt.Sprint("user ", i))
		users[i].Updated = core.Millis(i)
	}
	must[int](t)(storetest.Import(t.Context(), s, core.Snapshot{Users: users}))
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := ring; ctx.Err() == nil; n++ {
			u := users[n%ring]
			u.Updated = core.Millis(n)
			if _, err := writer.WriteRows(ctx, []core.Row{core.UserRow(u)}); err != nil && ctx.Err() == nil {
				t.Errorf("writing: %v", err)
			}
		}
	})
	writing.Go(func() { furnish(ctx, t, writer) })
	for range 6 {
		out := exported(t, s)
		if len(out[core.TableUsers]) < ring {
			t.Fatalf("%d users", len(out[core.TableUsers]))
		}
		checkRing(t, out[core.TableUsers], users)
		checkReferences(t, out)
	}
	stop()
	writing.Wait()
}

// furnish adds users, rooms with members and keys, and rekeys them, until ctx ends.
func furnish(ctx context.Context, t *testing.T, s *Store) {
	for i := 0; ctx.Err() == nil; i++ {
		u := storetest.NewUser(t, fmt.Sprint("newcomer ", i))
		room := storetest.NewRoom(core.RoomID(fmt.Sprint("room", i)), u.ID)
		key := func(epoch core.Epoch) core.SealedKey { return storetest.NewKey(room.ID, epoch, u.ID) }
		for _, do := range []func() error{
			func() error { return s.AddUser(ctx, u) },
			func() error { return s.CreateRoom(ctx, room) },
			func() error { return s.PutMember(ctx, storetest.NewMember(room.ID, u.ID)) },
			func() error { return s.PutKey(ctx, key(0)) },
			func() error { _, err := storetest.Rekey(ctx, s, room.ID, 0, []core.SealedKey{key(1)}); return err },
		} {
			if err := do(); err != nil {
				if ctx.Err() == nil {
					t.Errorf("furnishing: %v", err)
				}
				return
			}
		}
	}
}

func checkRing(t *testing.T, rows []core.Row, ring []core.User) {
	t.Helper()
	in := map[core.UserID]bool{}
	for _, u := range ring {
		in[u.ID] = true
	}
	var numbers []int
	for _, r := range rows {
		if u := must[core.User](t)(core.DecodeUser(r)); in[u.ID] {
			numbers = append(numbers, int(u.Updated))
		}
	}
	slices.Sort(numbers)
	if len(numbers) != len(ring) || numbers[len(numbers)-1]-numbers[0] != len(ring)-1 {
		t.Errorf("these numbers are of no one revision: %v", numbers)
	}
}

func checkReferences(t *testing.T, out map[core.Table][]core.Row) {
	t.Helper()
	rooms, users := map[string]core.Room{}, map[string]bool{}
	for _, r := range out[core.TableUsers] {
		users[r.Key] = true
	}
	for _, r := range out[core.TableRooms] {
		rooms[r.Key] = must[core.Room](t)(core.DecodeRoom(r))
		if owner := string(rooms[r.Key].Owner); !users[owner] {
			t.Errorf("the room %s came without its owner", r.Key)
		}
	}
	for _, r := range out[core.TableMembers] {
		room, user, _ := strings.Cut(r.Key, ".")
		if _, ok := rooms[room]; !ok || !users[user] {
			t.Errorf("the member %s came without its room or user", r.Key)
		}
	}
	for _, r := range out[core.TableRoomKeys] {
		parts := strings.Split(r.Key, ".")
		room, ok := rooms[parts[0]]
		if !ok || parts[1] > fmt.Sprint(room.Epoch) {
			t.Errorf("the key %s came with the room %+v", r.Key, room)
		}
	}
}

// TestExportRowsOfADeposedLeader: it answers for a while without the writes since. An
// export without the guard that this node has seen is refused as incomplete.
func TestExportRowsOfADeposedLeader(t *testing.T) {
	t.Parallel()
	s := onSingle(t).openWith(t, 0, Config{Replicas: 1, Timeout: time.Second})
	must[int](t)(storetest.Import(t.Context(), s, storetest.TwoRooms(t)))
	must[leaderPosition](t)(s.readReplica(t.Context(), core.TableUsers, true, func(entry) error { return nil }))
	wb := s.buckets[core.TableUsers]
	wb.mu.Lock()
	wb.cur.table.guard.rev += 1000 // as if the guard had been shut elsewhere, after what this leader holds
	wb.mu.Unlock()
	_, err := s.readReplica(t.Context(), core.TableUsers, true, func(entry) error { return nil })
	wantKind(t, err, core.KindUnavailable)
}
