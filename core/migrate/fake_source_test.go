package migrate

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"os"
	"slices"

	"unibus/core"
)

// fakeSource is the SQLite file of a fakeCluster.
type fakeSource struct{ *fakeCluster }

func (s fakeSource) Path() string       { return s.path() }
func (s fakeSource) Size() int64        { return 1 << 20 }
func (s fakeSource) SchemaVersion() int { return 1 }
func (s fakeSource) Integrity(context.Context) error {
	return s.op("integrity", func() error { return nil })
}

func (s fakeSource) Problems(context.Context, int) (ps []core.Problem, err error) {
	err = s.op("problems", func() error { ps = s.problems; return nil })
	return ps, err
}

func (s fakeSource) Leftovers(context.Context) (all []core.Leftover, err error) {
	err = s.op("leftovers", func() error { all = s.leftovers; return nil })
	return all, err
}

func (s fakeSource) OddTimes(context.Context) ([]core.OddTimes, error) { return s.oddTimes, nil }

func (s fakeSource) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return s.seq("source.rows", func() []core.Row { return s.source.rows(t) })
}

func (s fakeSource) Fence(context.Context) error {
	return s.op("fence", func() error { s.fenced = true; return nil })
}

func (s fakeSource) Lift(context.Context) error {
	return s.op("lift", func() error { s.fenced = false; s.liftCount++; return nil })
}

func (s fakeSource) Fenced(context.Context) (f bool, err error) {
	err = s.op("fenced", func() error { f = s.fenced; return nil })
	return f, err
}

// Counts ignores the index, which is derived.
func (s fakeSource) Counts(context.Context) (core.Counts, error) {
	return core.Counts{
		Users: len(s.source[core.TableUsers]), Rooms: len(s.source[core.TableRooms]),
		Members: len(s.source[core.TableMembers]), Keys: len(s.source[core.TableRoomKeys]),
	}, nil
}

// fakeTracking compares the source with its state when tracking started, and adds
// keys that were changed and changed back.
type fakeTracking struct {
	enabled   bool
	before    tables // when tracking started
	extraKeys map[core.Table][]string
	damaged   bool // a part of what records the keys was removed by hand
}

func (s fakeSource) Track(context.Context) error {
	return s.op("track", func() error {
		if s.tracking.damaged {
			return core.Errorf(core.KindFailed, "the log of changes is not whole").WithNext("abort the move, which takes the log away, and start it again")
		}
		if !s.tracking.enabled {
			s.tracking.enabled, s.tracking.before = true, s.source.clone()
		}
		return nil
	})
}

func (s fakeSource) Untrack(context.Context) error {
	return s.op("untrack", func() error { s.tracking.enabled, s.tracking.damaged = false, false; return nil })
}

func (s fakeSource) Tracked(context.Context) (on bool, err error) {
	err = s.op("tracked", func() error { on = s.tracking.enabled && !s.tracking.damaged; return nil })
	return on, err
}

func (s fakeSource) Changed(_ context.Context, t core.Table) (keys []string, err error) {
	err = s.op("changed", func() error {
		found := map[string]bool{}
		for _, k := range s.tracking.extraKeys[t] {
			found[k] = true
		}
		for _, side := range []map[string][]byte{s.source[t], s.tracking.before[t]} {
			for k := range side {
				if string(s.source[t][k]) != string(s.tracking.before[t][k]) || (s.source[t][k] == nil) != (s.tracking.before[t][k] == nil) {
					found[k] = true
				}
			}
		}
		keys = slices.Sorted(maps.Keys(found))
		return nil
	})
	return keys, err
}

func (s fakeSource) RowsOf(_ context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	return s.seq("source.rowsof", func() []core.Row { return chosen(s.source, t, keys) })
}

func chosen(from tables, t core.Table, keys []string) []core.Row {
	return slices.DeleteFunc(from.rows(t), func(r core.Row) bool { return !slices.Contains(keys, r.Key) })
}

func (c fakeBackup) RowsOf(_ context.Context, t core.Table, keys []string) iter.Seq2[core.Row, error] {
	return c.seq("copy.rowsof", func() []core.Row { return chosen(c.data, t, keys) })
}

// fakeBackup is a backup: the tables as JSON in a file.
type fakeBackup struct {
	*fakeCluster
	data tables
}

func (c fakeBackup) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return c.seq("copy.rows", func() []core.Row { return c.data.rows(t) })
}
func (fakeBackup) Close() error { return nil }

func (w *fakeCluster) backup(_ context.Context, path string) (b Backup, err error) {
	err = w.op("backup", func() error {
		data, err := json.Marshal(w.source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		b, err = hashFile(path)
		return err
	})
	return b, err
}

func (w *fakeCluster) openBackup(_ context.Context, path string) (BackupReader, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "reading: %w", err)
	}
	c := fakeBackup{fakeCluster: w}
	return c, json.Unmarshal(data, &c.data)
}

// fakeWriter collects rows and writes them like a backup.
type fakeWriter struct {
	*fakeCluster
	path string
	data tables
}

func (f fakeWriter) Put(_ context.Context, rows []core.Row) error {
	return f.op("file put", func() error {
		for _, r := range rows {
			f.data[r.Table][r.Key] = slices.Clone(r.Value)
		}
		return nil
	})
}

func (f fakeWriter) Finish(context.Context) error {
	return f.op("file finish", func() error {
		if f.exportLoses {
			delete(f.data[core.TableUsers], "k0003")
		}
		f.data[core.TableRoomsByMember] = f.target[core.TableRoomsByMember] // derived
		data, err := json.Marshal(f.data)
		if err != nil {
			return err
		}
		return os.WriteFile(f.path, data, 0o600)
	})
}

func (f fakeWriter) Discard() error { return nil }
