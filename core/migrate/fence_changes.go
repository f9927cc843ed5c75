package migrate

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"unibus/core"
)

// readMarks reads the present position of every bucket's history.
func (j *Job) readMarks(ctx context.Context) (Marks, error) {
	marks := Marks{}
	for _, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) (err error) {
			var m Mark
			m.Sequence, m.KeptKeys, err = j.cfg.Target.LastSequence(ctx, t)
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
		m := marks[t]
		m.Source = parity[i].Source
		marks[t] = m
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.marks = marks
}

func (j *Job) verifiedMarks() Marks {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.marks
}

// requireMarks refuses a fence without the positions that verify has recorded:
// without them the fence cannot tell what changed since.
func (j *Job) requireMarks() error {
	if len(j.verifiedMarks()) == len(core.Tables()) {
		return nil
	}
	j.updateStatus(func(s *Status) { s.Verified = false })
	return core.Errorf(core.KindRefused, "the journal of %s does not say up to where the buckets were verified, so the changes since then cannot be found; nothing was fenced", j.cfg.Node).
		WithNext("start again, which verifies everything and writes only what differs: `unibusd migrate-to-kv --db %s`", j.Status().Source.Path)
}

// syncChanges makes the target equal to the source. It looks only at keys that
// changed on either side since verify. The source's tracked keys name its changes
// since the backup, if the backup is unchanged. Otherwise the source is compared
// with the backup, and without a backup (--no-backup) with the target. The target's
// own changes come from its history.
func (j *Job) syncChanges(ctx context.Context, pool *replicaReaderPool, backupUnchanged bool) error {
	backup, closeBackup := j.openVerifiedBackup(ctx)
	defer closeBackup()
	tracked := backup != nil && backupUnchanged && j.trackedKeysComplete(ctx)
	begun := time.Now()
	found := make([]tableChanges, len(core.Tables()))
	for i, t := range core.Tables() {
		err := j.retry(ctx, func(ctx context.Context) (err error) {
			if tracked {
				found[i], err = j.changesByTracking(ctx, pool, backup, t, pool.marks[t])
			} else {
				found[i], err = j.changesByReading(ctx, pool, backup, t, pool.marks[t])
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
	written := time.Since(begun)
	err := j.verifyChanges(ctx, pool, found)
	if err == nil {
		j.cfg.Log.Info("the changes since verify were written and verified", "written_ms", written.Milliseconds(),
			"verified_ms", (time.Since(begun) - written).Milliseconds(), "of_ms", j.cfg.Limits.FenceTimeout.Milliseconds())
	}
	return err
}

// openVerifiedBackup opens the backup that was verified; nil if there is none.
func (j *Job) openVerifiedBackup(ctx context.Context) (BackupReader, func()) {
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

// tableChanges is everything that a table must have received since its mark. It
// holds as many keys in memory as were changed since the backup.
type tableChanges struct {
	table   core.Table
	mark    Mark
	source  core.Digest
	want    map[string][]byte // nil: the source lacks the key
	puts    []core.Row        // rows that the target lacks or has with another value, in order
	removes []string
}

// changesByReading compares whole tables: with the backup if it still is what was
// verified, otherwise with the target.
func (j *Job) changesByReading(ctx context.Context, pool *replicaReaderPool, backup BackupReader, t core.Table, m Mark) (tableChanges, error) {
	if backup != nil {
		c, digest, err := j.diffTables(ctx, pool, backup, t, m)
		if err != nil || digest == m.Source {
			return c, err
		}
		j.cfg.Log.Warn("the fence takes longer: the backup changed after it was verified, and the target is read instead", "table", t)
	}
	c, _, err := j.diffTables(ctx, pool, j.cfg.Target, t, m)
	return c, err
}

// diffTables compares the source with base, and with what was written to the
// target since the mark; digest is that of base.
func (j *Job) diffTables(ctx context.Context, pool *replicaReaderPool, base rowSource, t core.Table, m Mark) (c tableChanges, digest core.Digest, err error) {
	rows, err := pool.changesOfAny(ctx, t)
	if err != nil {
		return c, digest, err
	}
	written := valuesByKey(rows)
	c = tableChanges{table: t, mark: m, want: map[string][]byte{}}
	sourceSum, baseSum := core.NewDigester(), core.NewDigester()
	err = merge(j.source().Rows(ctx, t), base.Rows(ctx, t), func(p pair) error {
		want, have := valueOf(p.want), valueOf(p.have)
		if p.want != nil {
			sourceSum.Add(p.key, want)
		}
		if p.have != nil {
			baseSum.Add(p.key, have)
		}
		value, targetWrote := written[p.key]
		if targetWrote {
			have = value
		}
		delete(written, p.key)
		if targetWrote || !p.equal() {
			c.addKey(p.key, want, have)
		}
		return ctx.Err()
	})
	if err != nil {
		return c, digest, err
	}
	for _, key := range slices.Sorted(maps.Keys(written)) {
		c.addKey(key, nil, written[key])
	}
	if c.source, err = sourceSum.Sum(); err != nil {
		return c, digest, err
	}
	digest, err = baseSum.Sum()
	return c, digest, err
}

// addKey adds a key that changed on either side since verify.
func (c *tableChanges) addKey(key string, want, have []byte) {
	c.want[key] = want
	switch {
	case sameValue(want, have):
	case want == nil:
		c.removes = append(c.removes, key)
	default:
		c.puts = append(c.puts, core.Row{Table: c.table, Key: key, Value: want})
	}
}

// sameValue distinguishes an absent value, nil, from an empty one.
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
