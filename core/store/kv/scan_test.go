package kv

import (
	"testing"

	"unibus/core"
)

// A replica that has not yet got everything the leader had is waited for.
func TestScanWaitsForTheFence(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	rows := userRows(t, 2)
	must[int](t)(s.PutRows(ctx, rows[:1]))
	sc := scan{bucket: core.TableUsers.Bucket(), filter: ">"}
	e, _, err := s.newest(ctx, sc)
	mustDo(t, err)
	var seen int
	mustDo(t, s.runTo(ctx, sc, e.rev+1, func(e entry) error {
		if e.key[0] == '_' {
			return nil
		}
		if seen++; seen > 1 {
			return nil
		}
		_, err := s.PutRows(ctx, rows[1:])
		return err
	}))
	if seen != 2 {
		t.Errorf("the scan ended after %d rows, before the fence", seen)
	}
	s.timeout = defaultTimeout / 10
	wantKind(t, s.runTo(ctx, sc, e.rev+9, func(entry) error { return nil }), core.KindUnavailable)
}
