package migrate

import (
	"context"
	"iter"
	"maps"
	"slices"

	"unibus/core"
)

// backupUnchanged reports whether the backup still is, byte for byte, the verified one.
// Only then do the tracked keys name everything that the target may lack. It runs
// before the fence, because it reads the whole file.
func (j *Job) backupUnchanged() bool {
	b := j.Status().Backup
	if j.Status().Options.NoBackup || b.Path == "" {
		return false
	}
	now, err := hashFile(b.Path)
	if err != nil || now.SHA256 != b.SHA256 {
		j.cfg.Log.Warn("the fence takes longer: the backup is not what was verified", "backup", b.Path, "error", err)
		return false
	}
	return true
}

// trackedKeysComplete reports whether the source recorded every change since the
// backup. If not, whole tables are read.
func (j *Job) trackedKeysComplete(ctx context.Context) bool {
	complete, err := j.source().Tracked(ctx)
	if err != nil || !complete {
		j.cfg.Log.Warn("the fence takes longer: the record of changed rows is not complete", "complete", complete, "error", err)
		return false
	}
	return true
}

// changesByTracking finds the changes of a table from the source's tracked keys
// and the target's history, without reading the table. The digest is known only
// if nothing changed; fillDigests computes the others after the cutover.
func (j *Job) changesByTracking(ctx context.Context, pool *replicaReaderPool, backup keyLookup, t core.Table, m Mark) (tableChanges, error) {
	c := tableChanges{table: t, mark: m, want: map[string][]byte{}, source: m.Source}
	rows, err := pool.changesOfAny(ctx, t)
	if err != nil {
		return c, err
	}
	written := valuesByKey(rows)
	keys, err := j.source().Changed(ctx, t)
	if err != nil {
		return c, err
	}
	keys = slices.AppendSeq(keys, maps.Keys(written))
	slices.Sort(keys)
	keys = slices.Compact(keys)
	want, err := collectValues(j.source().RowsOf(ctx, t, keys))
	if err != nil {
		return c, err
	}
	was, err := collectValues(backup.RowsOf(ctx, t, keys))
	if err != nil {
		return c, err
	}
	for _, key := range keys {
		have, targetWrote := written[key]
		if !targetWrote {
			have = was[key]
		}
		sourceChanged := !sameValue(want[key], was[key])
		if targetWrote || sourceChanged {
			c.addKey(key, want[key], have)
		}
		if sourceChanged {
			c.source.SHA256 = ""
			c.source.Count += presence(want[key]) - presence(was[key])
		}
	}
	return c, nil
}

func presence(value []byte) int {
	if value == nil {
		return 0
	}
	return 1
}

func collectValues(rows iter.Seq2[core.Row, error]) (map[string][]byte, error) {
	out := map[string][]byte{}
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		out[r.Key] = valueOf(&r)
	}
	return out, nil
}

// fillDigests computes the digests of tables that changed behind the fence. Every
// node was shown to hold what the source holds, and the fenced source no longer changes.
func (j *Job) fillDigests(ctx context.Context) error {
	if j.source() == nil {
		return j.errNoFile()
	}
	buckets := cloneStatus(j.Status()).Buckets
	for i, t := range core.Tables() {
		if i >= len(buckets) || buckets[i].Source.SHA256 != "" {
			continue
		}
		d, err := digestOf(j.source().Rows(ctx, t))
		if err != nil {
			return err
		}
		for n, was := range buckets[i].Nodes {
			if was == buckets[i].Source {
				buckets[i].Nodes[n] = d
			}
		}
		buckets[i].Source = d
	}
	return j.saveStatus(func(s *Status) { s.Buckets = buckets })
}
