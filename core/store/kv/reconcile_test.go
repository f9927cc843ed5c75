package kv

import (
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/storetest"
)

func indexOf(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	for r, err := range s.Keys(t.Context(), core.TableRoomsByMember) {
		mustDo(t, err)
		keys = append(keys, r.Key+" "+string(r.Value))
	}
	return keys
}

// TestReconcile: missing, wrong and extra entries are mended, once.
func TestReconcile(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	must[int](t)(storetest.Import(ctx, s, storetest.TwoRooms(t)))
	want := indexOf(t, s)
	if n := must[int](t)(s.Reconcile(ctx)); n != 0 || len(want) < 3 {
		t.Fatalf("%d entries of a right index of %d were mended", n, len(want))
	}
	snap := must[core.Snapshot](t)(exportFromWatch(ctx, s))
	wrong, missing := snap.Members[0], snap.Members[1]
	wrong.State = map[core.MemberState]core.MemberState{core.MemberActive: core.MemberRemoved, core.MemberRemoved: core.MemberActive}[wrong.State]
	mustDo(t, s.index(ctx, wrong))
	must[int](t)(s.DeleteKeys(ctx, core.TableRoomsByMember, []string{core.IndexRow(missing).Key}))
	mustDo(t, s.index(ctx, core.Member{Room: "nowhere", User: storetest.NewUserID(t), State: core.MemberActive}))
	if slices.Equal(indexOf(t, s), want) {
		t.Fatal("the index is not damaged")
	}
	if n := must[int](t)(s.Reconcile(ctx)); n != 3 {
		t.Errorf("%d entries were mended, want 3", n)
	}
	if got := indexOf(t, s); !slices.Equal(got, want) {
		t.Errorf("the index is %q, want %q", got, want)
	}
	if n := must[int](t)(s.Reconcile(ctx)); n != 0 {
		t.Errorf("a second pass mended %d entries", n)
	}
}

// TestReconcilerMendsByItself: an entry that its writer did not get to, without anybody asking.
func TestReconcilerMendsByItself(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	tenant := onCluster(t)
	s, other := tenant.open(t, 0, 3), tenant.open(t, 1, 3)
	must[int](t)(storetest.Import(ctx, s, storetest.TwoRooms(t)))
	snap := must[core.Snapshot](t)(exportFromWatch(ctx, s))
	eventually(t, 20*time.Second, "the first passes", func() bool {
		return must[core.Counts](t)(other.Counts(ctx)).Members > 0
	})
	m := snap.Members[slices.IndexFunc(snap.Members, func(m core.Member) bool { return m.State == core.MemberActive })]
	m.State = core.MemberRemoved
	row := core.MemberRow(m)
	must[uint64](t)(s.set(ctx, message{key: row.Key, value: row.Value}, row.Table)) // and then it stopped
	eventually(t, 20*time.Second, "the entry is mended", func() bool {
		return slices.Contains(indexOf(t, s), core.IndexRow(m).Key+" "+string(core.IndexRow(m).Value))
	})
}
