package migrate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestEveryNodeNeedsRoom: the fake source has one megabyte.
func TestEveryNodeNeedsRoom(t *testing.T) {
	t.Parallel()
	enough := int64(replicaFactor << 20)
	for name, c := range map[string]struct {
		free map[string]int64
		want string
	}{
		"enough":      {map[string]int64{"n1": enough, "n2": enough, "n3": enough}, ""},
		"unknown":     {nil, ""},
		"one too few": {map[string]int64{"n1": enough, "n2": enough, "n3": enough - 1}, "n3 has 4 MB free"},
		"none":        {map[string]int64{"n2": 0}, "n2 has 0 MB free"},
		"source":      {map[string]int64{"n1": 1 << 20}, "n1 has 1 MB free"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 5)
			w.free = c.free
			s := startAndWait(t, w.job(t, nil), w.options())
			if c.want == "" {
				wantState(t, s, StateVerify)
				return
			}
			if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, c.want) || !strings.Contains(s.Problems[0].Text, fmt.Sprintf("needs %d MB", replicaFactor)) || s.Problems[0].Next == "" {
				t.Fatalf("%+v", s.Problems)
			}
		})
	}
}

// TestPromisedNumbers: docs/migration.md promises them, so they stand here a second time.
func TestPromisedNumbers(t *testing.T) {
	t.Parallel()
	if spaceFactor != 5 || replicaFactor != 4 {
		t.Errorf("the source needs %d times the file and every other node %d times, promised are five and four", spaceFactor, replicaFactor)
	}
	for text, l := range map[string]Limits{"the default": Limits{}.withDefaults(), "a job made of nothing": New(Config{}).cfg.Limits} {
		if l.FenceTimeout != 30*time.Second {
			t.Errorf("%s: a fence stands for %s, promised are 30 s", text, l.FenceTimeout)
		}
		if l.RetryBudget != 30*time.Second {
			t.Errorf("%s: a copy waits %s for a leader, promised are 30 s", text, l.RetryBudget)
		}
		if l.AdmissionLease < 3*time.Second {
			t.Errorf("%s: a rollback waits %s after the buckets were shut, promised are at least 3 s", text, l.AdmissionLease)
		}
	}
}

// sizedTarget is a target that knows how much it holds, and on which nodes.
type sizedTarget struct {
	fakeTarget
	bytes int64
	nodes []string
	err   error
}

func (f sizedTarget) BucketBytes(context.Context) (int64, error) { return f.bytes, f.err }

func (f sizedTarget) Nodes(ctx context.Context, t core.Table) ([]string, error) {
	if _, err := f.fakeTarget.Nodes(ctx, t); err != nil {
		return nil, err
	}
	if t == core.TableUsers {
		return []string{"n1", "n2", "n3"}, nil
	}
	return f.nodes, nil
}

// TestRepeatedRunNeedsLessRoom: the first run may take four megabytes on a node, and
// rows that it left there are not written again.
func TestRepeatedRunNeedsLessRoom(t *testing.T) {
	t.Parallel()
	all, unknown := []string{"n1", "n2", "n3"}, core.Errorf(core.KindUnavailable, "nobody knows")
	for name, c := range map[string]struct {
		bytes, free int64
		nodes       []string
		unmade      bool
		err         error
		want        string
	}{
		"a half":             {bytes: 1 << 20, free: 2 << 20, nodes: all},
		"less than a half":   {bytes: 1 << 20, free: 2<<20 - 1, nodes: all, want: "n3 has 2 MB free for its replica, and the migration needs 2 MB"},
		"all":                {bytes: 3 << 20, free: 1 << 20, nodes: all},
		"room for nothing":   {bytes: 3 << 20, free: 0, nodes: all, want: "the migration needs 1 MB"},
		"not on every node":  {bytes: 1 << 20, free: 2 << 20, nodes: all[:2], want: "needs 4 MB"},
		"nothing":            {free: 2 << 20, nodes: all, want: "needs 4 MB"},
		"no buckets":         {bytes: 1 << 20, free: 2 << 20, nodes: all, unmade: true, want: "needs 4 MB"},
		"a size not known":   {bytes: 1 << 20, free: 2 << 20, nodes: all, err: unknown, want: "needs 4 MB"},
		"room for the whole": {free: 4 << 20, nodes: all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 5)
			w.free, w.bucketsMissing = map[string]int64{"n3": c.free}, c.unmade
			j := w.job(t, func(cfg *Config) {
				cfg.Target = sizedTarget{fakeTarget{w}, c.bytes, c.nodes, c.err}
				cfg.FreeSpace = func(string) (int64, error) { return 5<<20 - min(2*c.bytes, 3<<20), nil }
			})
			o := Options{DB: w.path(), DryRun: true}
			s := startAndWait(t, j, o)
			switch {
			case c.want == "" && (s.Error != nil || len(s.Problems) > 0):
				t.Errorf("%v, %+v", s.Error, s.Problems)
			case c.want == "":
			case len(s.Problems) == 0 || !strings.Contains(s.Problems[len(s.Problems)-1].Text, c.want):
				t.Errorf("%+v, want %s", s.Problems, c.want)
			}
		})
	}
}

func TestEstimateDuration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rows  int
		bytes int64
		rate  int
		want  time.Duration
	}{
		{0, 0, 0, 3 * time.Second}, // the demo's few rows took as long
		{0, 3 * estimateBackupRate, 0, 6 * time.Second},
		{150_000, 0, 0, 23 * time.Second},
		{150_000, 0, 1_000_000, 23 * time.Second}, // a limit above what can be had
		{150_000, estimateBackupRate, 1000, 164 * time.Second},
	} {
		if got := estimateDuration(c.rows, c.bytes, c.rate); got != c.want {
			t.Errorf("%d rows, %d bytes, %d a second: %s, want %s", c.rows, c.bytes, c.rate, got, c.want)
		}
	}
}

// TestEstimateIsShown: 5 rows in each of five buckets, under a limit of one a second.
func TestEstimateIsShown(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	o := w.options()
	o.Rate, o.DryRun = 1, true
	s := startAndWait(t, w.job(t, nil), o)
	if want := estimateDuration(25, 1<<20, 1).Milliseconds(); s.EstimateMS != want || want < 25_000 {
		t.Errorf("%d ms, want %d", s.EstimateMS, want)
	}
}

// TestGroupsMustBeWell: preflight waits for a fault that passes by itself; one that stays is a
// problem.
func TestGroupsMustBeWell(t *testing.T) {
	t.Parallel()
	bad := []core.Problem{{Text: "users has no leader", Next: "wait"}}
	w := newFakeCluster(t, 5)
	w.findings = bad
	s := startAndWait(t, w.job(t, nil), w.options())
	wantRefused(t, errOf(s), "users has no leader")
	if len(s.Problems) != 1 || w.authorityRevision != 0 {
		t.Errorf("%+v", s.Problems)
	}
	w = newFakeCluster(t, 5)
	looks := 0
	w.findings = bad
	w.before = func(op string) error {
		if op == "cluster" {
			if looks++; looks == 4 {
				w.findings = nil
			}
		}
		return nil
	}
	patient := func(c *Config) { c.Limits.JournalTimeout = 20 * time.Second } // four looks, however slow the machine is
	wantState(t, startAndWait(t, w.job(t, patient), w.options()), StateVerify)
}
