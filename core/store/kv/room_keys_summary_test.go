package kv

import (
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// RoomKeys has what was acknowledged through another node before the call, also where
// this node's watches are silent. Unproven takes what the watches have, and writes nothing.
func TestRoomKeysAreProven(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	writer, reader := on.open(t, 0, 3), on.open(t, 1, 3)
	rows := userRows(t, 1)
	must[int](t)(writer.PutRows(t.Context(), rows))
	id := core.UserID(rows[0].Key)
	mustDo(t, writer.CreateRoom(t.Context(), storetest.NewRoom("r", id)))
	must[[]core.RoomKeys](t)(reader.RoomKeys(t.Context()))
	deafen(t, reader, core.TableRooms)
	deafen(t, reader, core.TableRoomKeys)
	mustDo(t, writer.StageKeys(t.Context(), "r", 0, "00000000000000aa", []core.SealedKey{storetest.NewKey("r", 1, id)}))
	must[core.Room](t)(writer.CommitRekey(t.Context(), "r", 0, "00000000000000aa", []byte("record")))
	barriers := func() uint64 {
		n := uint64(0)
		for _, f := range reader.buckets {
			n += f.barriers.count.Load()
		}
		return n
	}
	before := barriers()
	seen := must[[]core.RoomKeys](t)(reader.RoomKeys(core.Unproven(t.Context())))
	if len(seen) != 1 || barriers() != before {
		t.Errorf("without proof: %+v, and %d barriers", seen, barriers()-before)
	}
	got := must[[]core.RoomKeys](t)(reader.RoomKeys(t.Context()))
	if len(got) != 1 || got[0].Room.Epoch != 1 || !slices.Equal(got[0].Holders, []core.UserID{id}) {
		t.Errorf("with proof: %+v, want epoch 1 with a box for %s", got, id)
	}
}
