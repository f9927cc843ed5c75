package kv

import (
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/storetest"
)

// A room is read again behind its boxes without a proof: one of each table is all
// that a request for a room and its key costs.
func TestRoomAtOneEpochCostsNoMoreProofs(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	u := storetest.NewUser(t, "u")
	mustDo(t, s.AddUser(t.Context(), u))
	mustDo(t, s.CreateRoom(t.Context(), storetest.NewRoom("r", u.ID)))
	mustDo(t, s.PutMember(t.Context(), storetest.NewMember("r", u.ID)))
	must[core.Room](t)(storetest.Rekey(t.Context(), s, "r", 0, []core.SealedKey{storetest.NewKey("r", 1, u.ID)}))
	count := func() (n uint64) {
		for _, wb := range s.buckets {
			n += wb.barriers.count.Load()
		}
		return n
	}
	for range 20 {
		before := count()
		ctx := core.AsOf(t.Context(), time.Now())
		must[core.User](t)(s.User(ctx, u.ID))
		must[core.Member](t)(s.Member(ctx, "r", u.ID))
		was := must[core.Room](t)(s.Room(ctx, "r"))
		room, err := core.AtOneEpoch(ctx, s, was, func(holders []core.UserID) error {
			if len(holders) != 1 {
				t.Errorf("%d boxes", len(holders))
			}
			must[[]core.Member](t)(s.Members(ctx, "r"))
			must[core.User](t)(s.User(ctx, u.ID))
			return nil
		})
		if n := count() - before; err != nil || room.Epoch != 1 || n > 4 {
			t.Fatalf("%+v, %v: %d proofs, want one of each of four tables", room, err, n)
		}
	}
}
