package doctor

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// fakeReplicas holds the rows of each node, by key, of every table alike.
type fakeReplicas struct {
	rows   map[string]map[string]string
	faults map[string]error
}

func (f *fakeReplicas) Nodes(context.Context, core.Table) ([]string, error) {
	if f.faults["nodes"] != nil {
		return nil, f.faults["nodes"]
	}
	return []string{"n1", "n2", "n3"}[:len(f.rows)], nil
}

func (f *fakeReplicas) LastSequence(context.Context, core.Table) (uint64, int, error) {
	return 7, 0, nil
}

func (f *fakeReplicas) ReplicaDigest(ctx context.Context, t core.Table, node string) (core.Digest, error) {
	d := core.NewDigester()
	for r, err := range f.ReplicaRows(ctx, t, node) {
		if err != nil {
			return core.Digest{}, err
		}
		d.Add(r.Key, r.Value)
	}
	return d.Sum()
}

func (f *fakeReplicas) ReplicaRows(_ context.Context, t core.Table, node string) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		if err := f.faults[node]; err != nil {
			yield(core.Row{}, err)
			return
		}
		var keys []string
		for key := range f.rows[node] {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(core.Row{Table: t, Key: key, Value: []byte(f.rows[node][key])}, nil) {
				return
			}
		}
	}
}

// TestReplicasThatDifferAreNamed: by node, bucket and key, against the majority.
func TestReplicasThatDifferAreNamed(t *testing.T) {
	t.Parallel()
	same := func() map[string]string { return map[string]string{"a": "1", "b": "2", "c": "3"} }
	for name, test := range map[string]struct {
		change func(f *fakeReplicas)
		state  State
		text   string
		faults []string // node key text
	}{
		"equal":   {func(*fakeReplicas) {}, OK, "n1, n2, n3 hold the same 3 rows at sequence 7", nil},
		"missing": {func(f *fakeReplicas) { delete(f.rows["n2"], "b") }, Wrong, "the replica of UNIBUS_users on n2 differs", []string{"n2 b the row is missing there"}},
		"changed": {func(f *fakeReplicas) { f.rows["n3"]["c"] = "x" }, Wrong, "on n3 differs", []string{"n3 c the row has another value there"}},
		"extra":   {func(f *fakeReplicas) { f.rows["n1"]["d"] = "4" }, Wrong, "on n1 differs", []string{"n1 d the others do not have the row"}},
		"last":    {func(f *fakeReplicas) { f.rows["n1"] = map[string]string{} }, Wrong, "in 3 rows", []string{"n1 a the row is missing there", "n1 b the row is missing there", "n1 c the row is missing there"}},
		"two of them": {
			func(f *fakeReplicas) { delete(f.rows, "n3"); f.rows["n2"]["a"] = "x" },
			Wrong, "no value is held by a majority",
			[]string{"n1 a the row has another value there", "n2 a the row has another value there"},
		},
		"one row each": {
			func(f *fakeReplicas) { f.rows["n1"]["a"] = "x"; delete(f.rows["n2"], "b") },
			Wrong, "on n1, n2 differs",
			[]string{"n1 a the row has another value there", "n2 b the row is missing there"},
		},
		"unreadable": {func(f *fakeReplicas) { f.faults["n2"] = core.Errorf(core.KindUnavailable, "n2 is away") }, Unknown, "n2 is away", nil},
		"no bucket":  {func(f *fakeReplicas) { f.faults["nodes"] = core.Errorf(core.KindNotFound, "none") }, Skipped, "there is no bucket", nil},
		"no leader":  {func(f *fakeReplicas) { f.faults["nodes"] = core.Errorf(core.KindUnavailable, "no leader") }, Unknown, "no leader", nil},
	} {
		f := &fakeReplicas{rows: map[string]map[string]string{"n1": same(), "n2": same(), "n3": same()}, faults: map[string]error{}}
		test.change(f)
		c := checkReplicas(t.Context(), f, limits{reads: 2, pause: time.Nanosecond})[0]
		var faults []string
		for _, x := range c.Faults {
			faults = append(faults, x.Node+" "+x.Key+" "+x.Text)
		}
		if c.State != test.state || !strings.Contains(c.Text, test.text) || !slices.Equal(faults, test.faults) {
			t.Errorf("%s: %s %q %q", name, c.State, c.Text, faults)
		}
		if (c.State == Wrong || c.State == Unknown) && c.Next == "" || c.State == Wrong && c.Means == "" {
			t.Errorf("%s: it does not say what it means and what to do: %+v", name, c)
		}
	}
}

// TestFaultsAreBounded: a replica without rows does not make a report without end.
func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	f := &fakeReplicas{rows: map[string]map[string]string{"n1": {}, "n2": {}, "n3": {}}, faults: map[string]error{}}
	for i := range 100 {
		key := strings.Repeat("k", i+1)
		f.rows["n1"][key], f.rows["n3"][key] = "v", "v"
	}
	c := checkReplicas(t.Context(), f, limits{reads: 1, pause: time.Nanosecond})[0]
	if len(c.Faults) != MaxFaults || c.More != 100-MaxFaults || !strings.Contains(c.Text, "in 100 rows") {
		t.Errorf("%d faults, %d more: %s", len(c.Faults), c.More, c.Text)
	}
}

// TestRowsOnTheirWayNameNobody: a replica that lacks another row at each reading is behind,
// and not damaged.
func TestRowsOnTheirWayNameNobody(t *testing.T) {
	t.Parallel()
	same := func() map[string]string { return map[string]string{"a": "1", "b": "2"} }
	f := &busyReplica{fakeReplicas: fakeReplicas{rows: map[string]map[string]string{"n1": same(), "n2": same(), "n3": same()}}}
	if c := checkTable(t.Context(), f, core.TableUsers, limits{reads: 2, pause: time.Nanosecond}); c.State != Unknown || len(c.Faults) > 0 || c.Next == "" {
		t.Errorf("%+v", c)
	}
}

// busyReplica has n2 lack another row at each reading.
type busyReplica struct {
	fakeReplicas
	reads int
}

func (b *busyReplica) ReplicaRows(ctx context.Context, t core.Table, node string) iter.Seq2[core.Row, error] {
	if node == "n2" {
		b.reads++
		b.rows["n2"] = []map[string]string{{"a": "1"}, {"b": "2"}}[b.reads%2]
	}
	return b.fakeReplicas.ReplicaRows(ctx, t, node)
}

func (b *busyReplica) ReplicaDigest(_ context.Context, _ core.Table, node string) (core.Digest, error) {
	return core.Digest{SHA256: node}, nil
}
