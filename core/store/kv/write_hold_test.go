package kv

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestExportRowsOfAllTablesAreOfOneRevision: a user and a room are written in turn, each
// with the next number. At one revision the user's is that of the room, or the one after it.
func TestExportRowsOfAllTablesAreOfOneRevision(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s, writer := on.open(t, 0, 3), on.open(t, 1, 3)
	snap := storetest.TwoRooms(t)
	must[int](t)(storetest.Import(t.Context(), s, snap))
	user, room := snap.Users[0], snap.Rooms[0]
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	defer writing.Wait()
	defer stop()
	writing.Go(func() {
		for n := core.Millis(1_000_000); ctx.Err() == nil; n++ {
			user.Updated, room.Created = n, n
			for _, r := range []core.Row{core.UserRow(user), core.RoomRow(room)} {
				if _, err := writer.WriteRows(ctx, []core.Row{r}); err != nil && ctx.Err() == nil {
					t.Errorf("writing: %v", err)
				}
			}
		}
	})
	eventually(t, 10*time.Second, "a first number", func() bool {
		u, err := s.User(t.Context(), user.ID)
		return err == nil && u.Updated >= 1_000_000
	})
	for range 8 {
		out := exported(t, s)
		var u, r core.Millis
		for _, row := range out[core.TableUsers] {
			if row.Key == string(user.ID) {
				u = must[core.User](t)(core.DecodeUser(row)).Updated
			}
		}
		for _, row := range out[core.TableRooms] {
			if row.Key == string(room.ID) {
				r = must[core.Room](t)(core.DecodeRoom(row)).Created
			}
		}
		if u < 1_000_000 || u-r > 1 && r >= 1_000_000 || r > u {
			t.Errorf("the user is of %d, the room of %d: of no one moment", u, r)
		}
	}
}

// TestHoldOfAKilledNodeEnds: a write waits for a hold, no longer than the bound, and the
// holder is told that what it read is of no one moment. Reads go on meanwhile.
func TestHoldOfAKilledNodeEnds(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s, writer := on.open(t, 0, 3), on.open(t, 1, 3)
	known, u := storetest.NewUser(t, "known"), storetest.NewUser(t, "new")
	mustDo(t, writer.AddUser(t.Context(), known))
	h := must[*writeHold](t)(s.holdWrites(t.Context()))
	written := make(chan error, 1)
	go func() { written <- writer.AddUser(t.Context(), u) }()
	if yes, err := storetest.IsAuthorized(t.Context(), writer, known.ID); err != nil || !yes {
		t.Errorf("during a hold: %v, %v", yes, err)
	}
	select {
	case err := <-written:
		t.Fatalf("written during a hold: %v", err)
	case <-time.After(maxHold / 2):
	}
	mustDo(t, <-written)
	err := h.release(t.Context())
	wantKind(t, err, core.KindUnavailable)
	if err == nil || !strings.Contains(err.Error(), "could not be held") {
		t.Error(err)
	}
	exported(t, s) // what the hold left is gone
}

// TestReleasedWritersGoOn: at once, not after the bound.
func TestReleasedWritersGoOn(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s, writer := on.open(t, 0, 3), on.open(t, 1, 3)
	h := must[*writeHold](t)(s.holdWrites(t.Context()))
	eventually(t, 5*time.Second, "the other node to see the hold", func() bool {
		return writer.buckets[core.TableUsers].guard().Holder != ""
	})
	written := make(chan error, 1)
	go func() { written <- writer.AddUser(t.Context(), storetest.NewUser(t, "new")) }()
	mustDo(t, h.release(t.Context())) // nobody took it away
	eventually(t, maxHold/2, "the end of the hold where nobody waits for it", func() bool {
		return writer.buckets[core.TableRooms].guard().Holder == ""
	})
	mustDo(t, <-written)
}

// TestRowBehindTheHoldIsNoRevision: a node of a release that knows no holds writes under
// the guard that it sees.
func TestRowBehindTheHoldIsNoRevision(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s, old := on.open(t, 0, 3), on.open(t, 1, 3)
	x := s.newTableExport(core.TableUsers, nil)
	defer x.close()
	mustDo(t, x.read(t.Context(), false))
	mustDo(t, x.follow(t.Context()))
	h := must[*writeHold](t)(s.holdWrites(t.Context()))
	row := core.UserRow(storetest.NewUser(t, "late"))
	wb := old.buckets[core.TableUsers]
	_, err := old.sendAll(t.Context(), wb.bucket, wb.node, []message{{key: row.Key, value: row.Value}}, h.revs[core.TableUsers])
	mustDo(t, err)
	wantKind(t, x.readHeld(t.Context(), h.revs[core.TableUsers]), core.KindUnavailable)
	mustDo(t, h.abandon(t.Context()))
}
