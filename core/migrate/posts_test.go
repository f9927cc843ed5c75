package migrate

import (
	"context"
	"testing"

	"unibus/core"
)

// keptPost counted what is older when it was made, as the real one does.
type keptPost struct {
	fakePast
	table core.Table
	node  string
	after uint64
	less  int
}

func (p keptPost) Since(ctx context.Context) (rows []core.Row, mechanism, older int, err error) {
	rows, mechanism, older, err = p.ReplicaSince(ctx, p.table, p.node, p.after)
	return rows, mechanism, older - p.less, err
}

func (keptPost) Leave() {}

// postedTarget has a key of the mechanism overwritten after n1's post was made and before n2's.
type postedTarget struct{ fakePast }

func (t postedTarget) Station(_ context.Context, table core.Table, node string, after uint64) (Post, error) {
	p := keptPost{fakePast: t.fakePast, table: table, node: node, after: after}
	if node == "n2" {
		p.less = 2
	}
	return p, nil
}

// TestPostsThatCountedApart: posts that were made at different times may differ by
// what the mechanism wrote between; that alone stops no cutover, and a row that is
// really missing does.
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
