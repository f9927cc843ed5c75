package admin

import (
	"fmt"
	"testing"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// roomsOfManyOwners adds rooms that the people of w have nothing to do with.
func roomsOfManyOwners(t *testing.T, st core.Store, n int) {
	t.Helper()
	owner := core.User{ID: storetest.NewUserID(t), Role: core.RoleMember, Status: core.UserActive}
	in := core.Snapshot{Users: []core.User{owner}}
	for i := range n {
		in.Rooms = append(in.Rooms, core.Room{ID: core.RoomID(fmt.Sprintf("other-%06d", i)), Owner: owner.ID, State: core.RoomActive, Created: 5})
	}
	in.Sort()
	_, err := storetest.Import(t.Context(), st, in)
	must(t, err)
}

// TestReplaceReadsTheUsersRoomsAlone: the reads of a replacement do not grow with the rooms of
// others, and an owner who is no member is found as well.
func TestReplaceReadsTheUsersRoomsAlone(t *testing.T) {
	t.Parallel()
	reads := map[int]int{}
	for _, others := range []int{1_000, 100_000} {
		st := sqlite.New(sqlite.Config{Path: t.TempDir() + "/unibus.db", Create: true})
		must(t, st.Open(t.Context()))
		t.Cleanup(func() { _ = st.Close() })
		w := newKeyWorld(t, st)
		replaceable(t, w)
		_, err := st.RemoveMember(t.Context(), "own-b", w.people[0].ID)
		must(t, err)
		roomsOfManyOwners(t, st, others)
		counted := &storetest.RoomCounter{Store: st}
		holder := &core.StoreHandle{}
		holder.Publish(counted)
		w.cfg.Store = holder
		to := storetest.NewUserID(t)
		out, err := w.userReplace(t.Context(), core.Operator{Name: "oda"}, replaceRequest{ID: string(w.people[0].ID), To: string(to)})
		must(t, err)
		if got := fmt.Sprint(out.(Replaced).Moved); got != "[other-admin other-member own-a own-b]" {
			t.Errorf("moved %s", got)
		}
		reads[others] = counted.Count
	}
	if reads[1_000] != reads[100_000] || reads[1_000] == 0 || reads[1_000] > 40 {
		t.Errorf("rooms that were read, by the rooms of others: %v", reads)
	}
}
