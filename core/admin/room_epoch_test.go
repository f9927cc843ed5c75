package admin

import (
	"context"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// rekeyed is a store in which a room is rekeyed just before its boxes are read.
type rekeyed struct {
	core.Store
	meanwhile func()
}

func (r *rekeyed) KeyHolders(ctx context.Context, id core.RoomID) ([]core.UserID, error) {
	if do := r.meanwhile; do != nil {
		r.meanwhile = nil
		do()
	}
	return r.Store.KeyHolders(ctx, id)
}

// TestRoomIsOpenedAtOneEpoch: an operator reads a room while it is rekeyed, and all
// that is shown is of the epoch that is shown.
func TestRoomIsOpenedAtOneEpoch(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx := t.Context()
		w.room(t, "r", 0, 1, 2)
		must(t, errOf(w.store.RemoveMember(ctx, "r", w.people[2].ID)))
		o, err := openRoom(ctx, &rekeyed{w.store, func() {
			_, err := storetest.Rekey(ctx, w.store, "r", 1, []core.SealedKey{{Room: "r", User: w.people[0].ID, Box: []byte("box")}})
			must(t, err)
		}}, "r")
		if err != nil || o.Room.Epoch != 2 || len(o.Holders) != 1 || len(o.MustRekey(o.active)) != 0 {
			t.Errorf("the room is opened as %+v with %d boxes, %v", o.Room, len(o.Holders), err)
		}
	})
}

// TestRoomWithoutAnyKey: where nobody at all has the key, nobody is said to be able to give it.
func TestRoomWithoutAnyKey(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		must(t, w.store.CreateRoom(t.Context(), core.Room{ID: "new", Owner: w.people[0].ID, Encrypted: true, State: core.RoomActive, Created: 5}))
		must(t, w.store.PutMember(t.Context(), core.Member{Room: "new", User: w.people[0].ID, Role: core.MemberOwner, State: core.MemberActive}))
		w.room(t, "emptied") // at epoch 1, and no box
		w.room(t, "lacking", 1)
		for id, want := range map[core.RoomID]string{"new": "its owner's program makes the first one", "emptied": "Room.Rekey", "lacking": ""} {
			d := w.detail(t, id)
			got := d.Keys.NoHolderText(d.Room.Epoch)
			if d.Keys.State != KeysMissing || !strings.Contains(got, want) || (got == "") != (want == "") {
				t.Errorf("%s, %s: %q, want %q", id, d.Keys.State, got, want)
			}
		}
	})
}
