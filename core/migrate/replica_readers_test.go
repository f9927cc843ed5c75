package migrate

import (
	"context"
	"testing"

	"unibus/core"
)

// keptPost counted when it was made, as the real one does.
type keptPost struct {
	fakePast
	table            core.Table
	node             string
	after            uint64
	mechanism, older int
}

func (p keptPost) Since(ctx context.Context) (rows []core.Row, mechanism, older int, err error) {
	rows, _, _, err = p.ReplicaSince(ctx, p.table, p.node, p.after)
	return rows, p.mechanism, p.older, err
}

func (keptPost) Leave() {}

// postedTarget has a post at every replica, of which n2's is lost at once: that
// one is counted behind the fence, with the changes, and the others before.
type postedTarget struct{ fakePast }

func (t postedTarget) Station(ctx context.Context, table core.Table, node string, after uint64) (Post, error) {
	if node == "n2" {
		return brokenPost{new(int)}, nil
	}
	_, mechanism, older, err := t.ReplicaSince(ctx, table, node, after)
	return keptPost{fakePast: t.fakePast, table: table, node: node, after: after, mechanism: mechanism, older: older}, err
}

// TestPostsThatCountedApart: a replica that was counted at another time than the
// others may differ by what was written over between; that alone stops no cutover,
// and a row that is really missing does.
func TestPostsThatCountedApart(t *testing.T) {
	t.Parallel()
	posted := func(c *Config) { c.Target = postedTarget{c.Target.(fakePast)} }
	w, j := verified(t, posted, false)
	w.change()
	wantState(t, cutover(t, j), StateSoak)

	w, j = verified(t, posted, false)
	w.look(func() {
		lost := w.source.clone()
		delete(lost[core.TableUsers], "k0003")
		w.flipped["n2"] = map[core.Table]tables{core.TableUsers: lost}
	})
	if s := cutover(t, j); s.State != StateVerify || s.Error == nil {
		t.Errorf("a row is missing on n2: %s, %v", s.State, s.Error)
	}
}
