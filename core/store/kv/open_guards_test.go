package kv

import (
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// A copier's store knows the guards and no rows: it writes, and answers nothing until it is opened.
func TestAttendingStoreReadsNoRows(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s := New(Config{Conn: on.conn(t, 0), Replicas: 3})
	mustDo(t, s.OpenGuards(t.Context()))
	t.Cleanup(func() { mustDo(t, s.Close()) })
	mustDo(t, s.Shut(t.Context(), 2))
	u := storetest.NewUser(t, "somebody")
	if n, err := s.WriteRows(t.Context(), []core.Row{core.UserRow(u)}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := s.Counts(core.Unproven(t.Context())); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("the counts of rows that nobody read: %v", err)
	}
	if _, err := s.User(t.Context(), u.ID); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a row that nobody read: %v", err)
	}
	mustDo(t, s.Open(t.Context()))
	if n, err := s.Counts(core.Unproven(t.Context())); err != nil || n.Users != 1 {
		t.Errorf("once it is open: %+v, %v", n, err)
	}
	mustDo(t, s.OpenFor(t.Context(), core.Authority{Backend: core.BackendKV, Generation: 2}))
	if yes, err := storetest.IsAuthorized(t.Context(), s, u.ID); !yes || err != nil {
		t.Errorf("who was written before the rows were read is admitted: %v, %v", yes, err)
	}
	if got, err := s.User(t.Context(), u.ID); err != nil || got.ID != u.ID {
		t.Error(got, err)
	}
}
