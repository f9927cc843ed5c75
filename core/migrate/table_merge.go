package migrate

import (
	"bytes"
	"iter"

	"unibus/core"
)

// pair is one key of two tables; a side that lacks it is nil.
type pair struct {
	key        string
	want, have *core.Row
}

func (p pair) missing() bool { return p.have == nil }
func (p pair) extra() bool   { return p.want == nil }
func (p pair) equal() bool {
	return p.want != nil && p.have != nil && bytes.Equal(p.want.Value, p.have.Value)
}

// merge walks two tables in key order and calls visit once for every key of
// either. It holds one row of each. Rows out of order are an error: existing keys
// would look missing, and would be removed.
func merge(want, have iter.Seq2[core.Row, error], visit func(pair) error) error {
	w, h := newCursor(want), newCursor(have)
	defer w.stop()
	defer h.stop()
	if err := w.advance(); err != nil {
		return err
	}
	if err := h.advance(); err != nil {
		return err
	}
	for w.row != nil || h.row != nil {
		p := nextPair(w.row, h.row)
		if err := visit(p); err != nil {
			return err
		}
		if p.want != nil {
			if err := w.advance(); err != nil {
				return err
			}
		}
		if p.have != nil {
			if err := h.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

func nextPair(w, h *core.Row) pair {
	switch {
	case h == nil || w != nil && w.Key < h.Key:
		return pair{key: w.Key, want: w}
	case w == nil || h.Key < w.Key:
		return pair{key: h.Key, have: h}
	}
	return pair{key: w.Key, want: w, have: h}
}

// cursor is a sequence of rows with its present row; nil at the end.
type cursor struct {
	row  *core.Row
	next func() (core.Row, error, bool)
	stop func()
}

func newCursor(seq iter.Seq2[core.Row, error]) *cursor {
	next, stop := iter.Pull2(seq)
	return &cursor{next: next, stop: stop}
}

func (c *cursor) advance() error {
	r, err, ok := c.next()
	if !ok {
		c.row = nil
		return nil
	}
	if err != nil {
		return err
	}
	if c.row != nil && r.Key <= c.row.Key {
		return core.Errorf(core.KindFailed, "rows of %s came out of order: %s after %s", r.Table.Bucket(), r.Key, c.row.Key)
	}
	c.row = &r
	return nil
}

// digestOf reads a table to its end and returns its digest.
func digestOf(rows iter.Seq2[core.Row, error]) (core.Digest, error) {
	d := core.NewDigester()
	for r, err := range rows {
		if err != nil {
			return core.Digest{}, err
		}
		d.Add(r.Key, r.Value)
	}
	return d.Sum()
}
