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

// readMarks notes where the tables' histories stand; nil where the target has none.
func (j *Job) readMarks(ctx context.Context) (Marks, error) {
	h, ok := j.cfg.Target.(ChangeReader)
	if !ok {
		return nil, nil
	}
	marks := Marks{}
	for _, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) (err error) {
			var m Mark
			m.Sequence, m.KeptKeys, err = h.LastSequence(ctx, t)
			marks[t] = m
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return marks, nil
}

// storeMarks is called once everything up to the marks was found equal.
func (j *Job) storeMarks(marks Marks, parity []Parity) {
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
func (j *Job) history() (ChangeReader, Marks) {
	h, _ := j.cfg.Target.(ChangeReader)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.marks) != len(core.Tables()) {
		return nil, nil
	}
	return h, j.marks
}

// syncChanges makes the target equal the source by looking only at the keys
// that either of them got otherwise since the verification: the source's are
// those it noted since the backup, which must be intact, the target's come from its
// history. A source that notes nothing is compared with the backup; where that is gone, as after
// --no-backup, with the target itself.
func (j *Job) syncChanges(ctx context.Context, h *replicaReaderPool, intact bool) error {
	base, done := j.openBase(ctx)
	defer done()
	notes, was := j.trackedSource(ctx, base, intact)
	begun := time.Now()
	found := make([]tableChanges, len(core.Tables()))
	for i, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) (err error) {
			if notes != nil {
				found[i], err = j.changesByTracking(ctx, h, notes, was, t, h.marks[t])
			} else {
				found[i], err = j.changesByReading(ctx, h, base, t, h.marks[t])
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
	err := j.verifyChanges(ctx, h, found)
	if err == nil {
		j.cfg.Log.Info("what changed since the verification was brought over", "brought_ms", brought.Milliseconds(),
			"proven_ms", (time.Since(begun) - brought).Milliseconds(), "of_ms", j.cfg.Limits.FenceTimeout.Milliseconds())
	}
	return err
}

// openBase is what the source is compared with: the backup that was verified, or nil.
func (j *Job) openBase(ctx context.Context) (BackupReader, func()) {
	st := j.Status()
	if st.Options.NoBackup || st.Backup.Path == "" {
		return nil, func() {}
	}
	c, err := j.openBackup(ctx, st.Backup.Path)
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

// tableChanges is what a table must have got since its mark, in all: as many keys as
// were changed since the backup are in memory.
type tableChanges struct {
	table   core.Table
	mark    Mark
	source  core.Digest
	want    map[string][]byte // nil: the source lacks the key
	puts    []core.Row        // what the target has otherwise, in order
	removes []string
}

// changesByReading reads the backup only where it still is what was verified.
func (j *Job) changesByReading(ctx context.Context, h *replicaReaderPool, backup BackupReader, t core.Table, m Mark) (tableChanges, error) {
	if backup != nil {
		c, digest, err := j.diffTables(ctx, h, backup, t, m)
		if err != nil || digest == m.Source {
			return c, err
		}
		j.cfg.Log.Warn("the fence takes longer: the backup changed after it was verified, and the target is read instead", "table", t)
	}
	c, _, err := j.diffTables(ctx, h, j.cfg.Target, t, m)
	return c, err
}

// diffTables compares the source with base and with what the target got since
// the mark; digest is that of base.
func (j *Job) diffTables(ctx context.Context, h *replicaReaderPool, base RowSource, t core.Table, m Mark) (c tableChanges, digest core.Digest, err error) {
	rows, err := h.changesOfAny(ctx, t)
	if err != nil {
		return c, digest, err
	}
	late := valuesByKey(rows)
	c = tableChanges{table: t, mark: m, want: map[string][]byte{}}
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
			c.addKey(p.key, want, now)
		}
		return ctx.Err()
	})
	if err != nil {
		return c, digest, err
	}
	for _, key := range slices.Sorted(maps.Keys(late)) {
		c.addKey(key, nil, late[key])
	}
	if c.source, err = source.Sum(); err != nil {
		return c, digest, err
	}
	digest, err = whole.Sum()
	return c, digest, err
}

// addKey notes one key that is not simply as it was verified.
func (c *tableChanges) addKey(key string, want, now []byte) {
	c.want[key] = want
	switch {
	case sameValue(want, now):
	case want == nil:
		c.removes = append(c.removes, key)
	default:
		c.puts = append(c.puts, core.Row{Table: c.table, Key: key, Value: want})
	}
}

// sameValue tells an absent value, nil, from an empty one.
func sameValue(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func valueOf(r *core.Row) []byte {
	switch {
	case r == nil:
		return nil
	case r.Value == nil:
		return []byte{}
	}
	return r.Value
}

func valuesByKey(rows []core.Row) map[string][]byte {
	out := make(map[string][]byte, len(rows))
	for _, r := range rows {
		out[r.Key] = r.Value
	}
	return out
}

func (j *Job) writeChanges(ctx context.Context, c tableChanges) error {
	b := rowBatch{table: c.table}
	flush := func() error {
		p, err := j.writeBatch(ctx, &b)
		if err == nil {
			j.updateStatus(func(s *Status) { s.Written += p.put + p.removed })
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

// verifyChanges shows for every table and every replica that it got the changes
// and nothing else since it was verified, and still has the rest. All are asked
// side by side: each waits for servers most of the time.
func (j *Job) verifyChanges(ctx context.Context, h *replicaReaderPool, found []tableChanges) error {
	var wg sync.WaitGroup
	parity, errs := make([]Parity, len(found)), make([]error, len(found))
	for i, c := range found {
		wg.Go(func() { parity[i], errs[i] = j.verifyTableChanges(ctx, h, c) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return j.requireParity(parity)
}

// verifyTableChanges looks again where something differs: a new key of the mechanism that
// one replica has not got yet looks like a row that is missing.
func (j *Job) verifyTableChanges(ctx context.Context, h *replicaReaderPool, c tableChanges) (Parity, error) {
	nodes, err := j.replicaNodes(ctx, c.table)
	if err != nil {
		return Parity{}, err
	}
	for try := 1; ; try++ {
		found := j.verifyReplicas(ctx, h, c, nodes)
		p, err := parityOf(c.table, c.source, found)
		p.Changed = len(c.want)
		if err != nil || p.Equal() || try >= j.cfg.Limits.ReplicaReads {
			return p, err
		}
		h.closeTable(c.table)
		if err := sleep(ctx, j.cfg.Limits.PollInterval); err != nil {
			return p, err
		}
	}
}

func (j *Job) verifyReplicas(ctx context.Context, h *replicaReaderPool, c tableChanges, nodes []string) []replicaComparison {
	var wg sync.WaitGroup
	found, older := make([]replicaComparison, len(nodes)), make([]int, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { found[i], older[i] = j.verifyReplica(ctx, h, c, n) })
	}
	wg.Wait()
	for i := range found {
		found[i].addLostKeys(slices.Max(older) - older[i])
		found[i].setDigest(c)
	}
	return found
}

// verifyReplica compares the changes, and counts the keys that were not changed:
// only what was written since can have taken the place of one.
func (j *Job) verifyReplica(ctx context.Context, h *replicaReaderPool, c tableChanges, node string) (r replicaComparison, older int) {
	r.node = node
	r.failure = j.retry(ctx, func(ctx context.Context) error {
		rows, mechanism, kept, err := h.changes(ctx, c.table, node)
		if err != nil {
			return err
		}
		older = kept
		r.compareChanges(c, valuesByKey(rows))
		r.addLostKeys(c.mark.KeptKeys - kept - len(rows) - mechanism)
		return nil
	})
	return r, older
}

// addLostKeys notes that a replica lacks some of the keys that nobody changed.
func (r *replicaComparison) addLostKeys(n int) {
	if n > 0 {
		r.missing = appendListed(r.missing, []string{fmt.Sprintf("%s/(%s that nobody changed)", r.node, count(n, "key"))})
	}
}

// setDigest: what was verified and what was changed since make up the source.
func (r *replicaComparison) setDigest(c tableChanges) {
	if len(r.missing)+len(r.different)+len(r.extra) == 0 {
		r.digest = c.source
	}
}

// compareChanges compares what a replica got since the mark with what it should have got.
func (r *replicaComparison) compareChanges(c tableChanges, have map[string][]byte) {
	for _, key := range slices.Sorted(maps.Keys(c.want)) {
		now, there := have[key]
		name := []string{r.node + "/" + key}
		switch want := c.want[key]; {
		case there && sameValue(want, now):
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
