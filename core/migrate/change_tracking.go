package migrate

import (
	"context"
	"iter"
	"maps"
	"slices"

	"unibus/core"
)

// ChangeTracker is a SourceStore that can note which rows are changed or removed, by
// whichever process, so that the fence need not read everything again. A source
// without it is compared with its backup while the fence stands.
type ChangeTracker interface {
	// Track begins to note changes; where it has begun, it goes on.
	Track(ctx context.Context) error
	// Untrack forgets them and leaves no trace in the file, also where what is there
	// of the notes is not whole. It may be repeated, and writes nothing where nothing is there.
	Untrack(ctx context.Context) error
	// Tracked says whether the notes are whole; only then can Changed be relied on.
	Tracked(ctx context.Context) (bool, error)
	// Changed returns the keys of a table that were noted, in order.
	Changed(ctx context.Context, t core.Table) ([]string, error)
	KeyLookup
}

// KeyLookup hands out chosen rows of a table in key order; keys that are not there are left out.
type KeyLookup interface {
	RowsOf(ctx context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error]
}

// startTracking is called before the backup is taken: what is noted is at least what
// the backup lacks.
func (j *Job) startTracking(ctx context.Context) error {
	if tr, ok := j.source().(ChangeTracker); ok {
		return tr.Track(ctx)
	}
	return nil
}

// stopTracking is called where no fence will ask. It does not ask whether the notes
// are whole: those that are not are in the way of the next move.
func (j *Job) stopTracking(ctx context.Context) error {
	if tr, ok := j.source().(ChangeTracker); ok {
		return tr.Untrack(ctx)
	}
	return nil
}

// backupUnchanged says whether the backup still is, byte for byte, what was verified: only
// then do the source's notes say all that the target may lack. It is asked before
// the fence stands, because it reads the file.
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

// trackedSource is the source's notes with the backup to compare them to; nil where
// either is not to be had.
func (j *Job) trackedSource(ctx context.Context, backup BackupReader, intact bool) (ChangeTracker, KeyLookup) {
	tr, ok := j.source().(ChangeTracker)
	pick, picks := backup.(KeyLookup)
	if !ok || !picks || !intact {
		return nil, nil
	}
	if on, err := tr.Tracked(ctx); err != nil || !on {
		j.cfg.Log.Warn("the fence takes longer: changes of the file were not noted", "tracked", on, "error", err)
		return nil, nil
	}
	return tr, pick
}

// changesByTracking finds the changes of a table from the source's notes and the target's
// history, without reading the table. Its digest is known only where nothing
// changed; sumUp fills it in after the cutover.
func (j *Job) changesByTracking(ctx context.Context, h *replicaReaderPool, tr ChangeTracker, base KeyLookup, t core.Table, m Mark) (tableChanges, error) {
	c := tableChanges{table: t, mark: m, want: map[string][]byte{}, source: m.Source}
	rows, err := h.changesOfAny(ctx, t)
	if err != nil {
		return c, err
	}
	late := valuesByKey(rows)
	keys, err := tr.Changed(ctx, t)
	if err != nil {
		return c, err
	}
	keys = slices.AppendSeq(keys, maps.Keys(late))
	slices.Sort(keys)
	keys = slices.Compact(keys)
	want, err := collectValues(tr.RowsOf(ctx, t, keys))
	if err != nil {
		return c, err
	}
	was, err := collectValues(base.RowsOf(ctx, t, keys))
	if err != nil {
		return c, err
	}
	for _, key := range keys {
		now, again := late[key]
		if !again {
			now = was[key]
		}
		if again || !sameValue(want[key], was[key]) {
			c.addKey(key, want[key], now)
		}
		if !sameValue(want[key], was[key]) {
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

// fillDigests fills in the digests of tables that changed behind the fence: every node
// was shown to hold what the source holds, and the source, fenced, changes no more.
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
