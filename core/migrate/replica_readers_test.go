package migrate

import (
	"context"
	"testing"

	"unibus/core"
)

// readerTarget opens a reader for every replica; that of n2 breaks at once. So n2
// is counted behind the fence, with the changes, and the others before.
type readerTarget struct{ fakeTarget }

func (t readerTarget) OpenReplicaReader(ctx context.Context, table core.Table, node string, after uint64) (ReplicaReader, error) {
	if node == "n2" {
		return brokenReader{new(int)}, nil
	}
	return t.fakeTarget.OpenReplicaReader(ctx, table, node, after)
}

// A replica that was counted at another time than the others may differ by the
// rows overwritten in between. That alone stops no cutover; a missing row does.
func TestReadersThatCountedAtDifferentTimes(t *testing.T) {
	t.Parallel()
	posted := func(c *Config) { c.Target = readerTarget{c.Target.(fakeTarget)} }
	w, j := newVerified(t, posted, false)
	w.change()
	wantState(t, cutOverAndWait(t, j), StateSoak)

	w, j = newVerified(t, posted, false)
	w.locked(func() {
		lost := w.source.clone()
		delete(lost[core.TableUsers], "k0003")
		w.replicaOverrides["n2"] = map[core.Table]tables{core.TableUsers: lost}
	})
	if s := cutOverAndWait(t, j); s.State != StateVerify || s.Error == nil {
		t.Errorf("a row is missing on n2: %s, %v", s.State, s.Error)
	}
}
