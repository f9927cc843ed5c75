package migrate

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"unibus/core"
)

// mark notes where the tables' histories stand; nil where the target has none.
func (j *Job) mark(ctx context.Context) (Marks, error) {
	h, ok := j.cfg.Target.(Historian)
	if !ok {
		return nil, nil
	}
	marks := Marks{}
	for _, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) (err error) {
			var m Mark
			m.Sequence, m.Kept, err = h.Mark(ctx, t)
			marks[t] = m
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return marks, nil
}

// keepMarks is called once everything up to the marks was found equal.
func (j *Job) keepMarks(marks Marks, parity []Parity) {
	for i, t := range core.Tables() {
		if m, ok := marks[t]; ok {
			m.Source = parity[i].Source
			marks[t] = m
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.marks = marks
}

// history is nil where the target has none, or nothing was marked at verify.
func (j *Job) history() (Historian, Marks) {
	h, _ := j.cfg.Target.(Historian)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.marks) != len(core.Tables()) {
		return nil, nil
	}
	return h, j.marks
}

// followChanges makes the target equal the source by looking only at the keys
// that either of them got otherwise since the verification: the source's are
// those it noted since the backup, which must be intact, the target's come from its
// history. A source that notes nothing is compared with the backup; where that is gone, as after
// --no-backup, with the target itself.
func (j *Job) followChanges(ctx context.Context, h *posts, intact bool) error {
	base, done := j.base(ctx)
	defer done()
	notes, was := j.tracker(ctx, base, intact)
	begun := time.Now()
	found := make([]changes, len(core.Tables()))
	for i, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) (err error) {
			if notes != nil {
				found[i], err = j.noted(ctx, h, notes, was, t, h.marks[t])
			} else {
				found[i], err = j.findChanges(ctx, h, base, t, h.marks[t])
			}
			return err
		})
		if err == nil {
			err = j.writeChanges(ctx, found[i])
		}
		if err != nil {
			return err
		}
	}
	brought := time.Since(begun)
	err := j.proveChanges(ctx, h, found)
	if err == nil {
		j.cfg.Log.Info("what changed since the verification was brought over", "brought_ms", brought.Milliseconds(),
			"proven_ms", (time.Since(begun) - brought).Milliseconds(), "of_ms", j.cfg.Limits.Fence.Milliseconds())
	}
	return err
}

// base is what the source is compared with: the backup that was verified, or nil.
func (j *Job) base(ctx context.Context) (Copy, func()) {
	st := j.Status()
	if st.Options.NoBackup || st.Backup.Path == "" {
		return nil, func() {}
	}
	c, err := j.openCopy(ctx, st.Backup.Path)
	if err != nil {
		j.cfg.Log.Warn("the fence takes longer: the target is read instead of the backup", "error", err)
		return nil, func() {}
	}
	return c, func() {
		if err := c.Close(); err != nil {
			j.cfg.Log.Warn("the backup was not closed", "error", err)
		}
	}
}

// changes is what a table must have got since its mark, in all: as many keys as
// were changed since the backup are in memory.
type changes struct {
	table   core.Table
	mark    Mark
	source  core.Digest
	want    map[string][]byte // nil: the source lacks the key
	puts    []core.Row        // what the target has otherwise, in order
	removes []string
}

// findChanges reads the backup only where it still is what was verified.
func (j *Job) findChanges(ctx context.Context, h *posts, backup Copy, t core.Table, m Mark) (changes, error) {
	if backup != nil {
		c, digest, err := j.differences(ctx, h, backup, t, m)
		if err != nil || digest == m.Source {
			return c, err
		}
		j.cfg.Log.Warn("the fence takes longer: the backup changed after it was verified, and the target is read instead", "table", t)
	}
	c, _, err := j.differences(ctx, h, j.cfg.Target, t, m)
	return c, err
}

// differences compares the source with base and with what the target got since
// the mark; digest is that of base.
func (j *Job) differences(ctx context.Context, h *posts, base RowSource, t core.Table, m Mark) (c changes, digest core.Digest, err error) {
	rows, err := h.anywhere(ctx, t)
	if err != nil {
		return c, digest, err
	}
	late := byKey(rows)
	c = changes{table: t, mark: m, want: map[string][]byte{}}
	source, whole := core.NewDigester(), core.NewDigester()
	err = merge(j.source().Rows(ctx, t), base.Rows(ctx, t), func(p pair) error {
		want, have := valueOf(p.want), valueOf(p.have)
		if p.want != nil {
			source.Add(p.key, want)
		}
		if p.have != nil {
			whole.Add(p.key, have)
		}
		now, again := late[p.key]
		if !again {
			now = have
		}
		delete(late, p.key)
		if again || !p.equal() {
			c.settle(p.key, want, now)
		}
		return ctx.Err()
	})
	if err != nil {
		return c, digest, err
	}
	for _, key := range slices.Sorted(maps.Keys(late)) {
		c.settle(key, nil, late[key])
	}
	if c.source, err = source.Sum(); err != nil {
		return c, digest, err
	}
	digest, err = whole.Sum()
	return c, digest, err
}

// settle notes one key that is not simply as it was verified.
func (c *changes) settle(key string, want, now []byte) {
	c.want[key] = want
	switch {
	case same(want, now):
	case want == nil:
		c.removes = append(c.removes, key)
	default:
		c.puts = append(c.puts, core.Row{Table: c.table, Key: key, Value: want})
	}
}

// same tells an absent value, nil, from an empty one.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func valueOf(r *core.Row) []byte {
	switch {
	case r == nil:
		return nil
	case r.Value == nil:
		return []byte{}
	}
	return r.Value
}

func byKey(rows []core.Row) map[string][]byte {
	out := make(map[string][]byte, len(rows))
	for _, r := range rows {
		out[r.Key] = r.Value
	}
	return out
}

func (j *Job) writeChanges(ctx context.Context, c changes) error {
	b := batch{table: c.table}
	flush := func() error {
		p, err := j.flush(ctx, &b)
		if err == nil {
			j.note(func(s *Status) { s.Written += p.put + p.removed })
			err = ctx.Err()
		}
		return err
	}
	add := func(p pair) error {
		b.add(p)
		if b.seen >= j.cfg.Limits.BatchRows || b.bytes >= j.cfg.Limits.BatchBytes {
			return flush()
		}
		return nil
	}
	for i := range c.puts {
		if err := add(pair{key: c.puts[i].Key, want: &c.puts[i]}); err != nil {
			return err
		}
	}
	for _, key := range c.removes {
		if err := add(pair{key: key, have: &core.Row{Table: c.table, Key: key}}); err != nil {
			return err
		}
	}
	if b.seen == 0 {
		return nil
	}
	return flush()
}

// proveChanges shows for every table and every replica that it got the changes
// and nothing else since it was verified, and still has the rest. All are asked
// side by side: each waits for servers most of the time.
func (j *Job) proveChanges(ctx context.Context, h *posts, found []changes) error {
	var wg sync.WaitGroup
	parity, errs := make([]Parity, len(found)), make([]error, len(found))
	for i, c := range found {
		wg.Go(func() { parity[i], errs[i] = j.proveTable(ctx, h, c) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return j.judgeParity(parity)
}

// proveTable looks again where something differs: a new key of the mechanism that
// one replica has not got yet looks like a row that is missing.
func (j *Job) proveTable(ctx context.Context, h *posts, c changes) (Parity, error) {
	nodes, err := j.replicas(ctx, c.table)
	if err != nil {
		return Parity{}, err
	}
	for try := 1; ; try++ {
		found := j.proveReplicas(ctx, h, c, nodes)
		p, err := gather(c.table, c.source, found)
		p.Changed = len(c.want)
		if err != nil || p.Equal() || try >= j.cfg.Limits.Tries {
			return p, err
		}
		h.forget(c.table)
		if err := wait(ctx, j.cfg.Limits.Poll); err != nil {
			return p, err
		}
	}
}

func (j *Job) proveReplicas(ctx context.Context, h *posts, c changes, nodes []string) []replica {
	var wg sync.WaitGroup
	found, older := make([]replica, len(nodes)), make([]int, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { found[i], older[i] = j.proveReplica(ctx, h, c, n) })
	}
	wg.Wait()
	for i := range found {
		found[i].lost(slices.Max(older) - older[i])
		found[i].conclude(c)
	}
	return found
}

// proveReplica compares the changes, and counts the keys that were not changed:
// only what was written since can have taken the place of one.
func (j *Job) proveReplica(ctx context.Context, h *posts, c changes, node string) (r replica, older int) {
	r.node = node
	r.err = j.retry(ctx, func(ctx context.Context) error {
		rows, mechanism, kept, err := h.since(ctx, c.table, node)
		if err != nil {
			return err
		}
		older = kept
		r.judge(c, byKey(rows))
		r.lost(c.mark.Kept - kept - len(rows) - mechanism)
		return nil
	})
	return r, older
}

// lost notes that a replica lacks some of the keys that nobody changed.
func (r *replica) lost(n int) {
	if n > 0 {
		r.missing = appendListed(r.missing, []string{fmt.Sprintf("%s/(%s that nobody changed)", r.node, count(n, "key"))})
	}
}

// conclude: what was verified and what was changed since make up the source.
func (r *replica) conclude(c changes) {
	if len(r.missing)+len(r.different)+len(r.extra) == 0 {
		r.digest = c.source
	}
}

// judge compares what a replica got since the mark with what it should have got.
func (r *replica) judge(c changes, have map[string][]byte) {
	for _, key := range slices.Sorted(maps.Keys(c.want)) {
		now, there := have[key]
		name := []string{r.node + "/" + key}
		switch want := c.want[key]; {
		case there && same(want, now):
		case want == nil:
			r.extra = appendListed(r.extra, name)
		case now == nil:
			r.missing = appendListed(r.missing, name)
		default:
			r.different = appendListed(r.different, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, known := c.want[key]; !known {
			r.extra = appendListed(r.extra, []string{r.node + "/" + key})
		}
	}
}
