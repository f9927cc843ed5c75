package migrate

import (
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"unibus/core"
)

func seqOf(rows []core.Row) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// TestMergeMakesEqual: doing what merge reports turns the one table into the other.
func TestMergeMakesEqual(t *testing.T) {
	t.Parallel()
	key := rapid.StringMatching(`[a-d]{1,3}`)
	table := rapid.MapOf(key, rapid.SampledFrom([]string{"1", "2"}))
	rapid.Check(t, func(rt *rapid.T) {
		want, have := table.Draw(rt, "want"), table.Draw(rt, "have")
		got := map[string]string{}
		last := ""
		err := merge(seqOf(asTables(want).rows(core.TableUsers)), seqOf(asTables(have).rows(core.TableUsers)), func(p pair) error {
			if p.key <= last {
				rt.Fatalf("%q after %q", p.key, last)
			}
			last = p.key
			switch {
			case p.extra():
				if _, ok := want[p.key]; ok {
					rt.Fatalf("%q is no extra", p.key)
				}
				return nil
			case p.equal() != (want[p.key] == have[p.key]):
				rt.Fatalf("%q: equal %v", p.key, p.equal())
			case p.missing() != (have[p.key] == ""):
				rt.Fatalf("%q: missing %v", p.key, p.missing())
			}
			got[p.key] = string(p.want.Value)
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatal(d)
		}
	})
}

func asTables(m map[string]string) tables {
	t := newTables()
	for k, v := range m {
		t[core.TableUsers][k] = []byte(v)
	}
	return t
}

func TestMergeRefusesDisorder(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"b", "a"}, {"a", "a"}} {
		var rows []core.Row
		for _, k := range keys {
			rows = append(rows, core.Row{Table: core.TableUsers, Key: k})
		}
		err := merge(seqOf(nil), seqOf(rows), func(pair) error { return nil })
		if core.KindOf(err) != core.KindFailed {
			t.Errorf("%v: %v", keys, err)
		}
	}
}

func TestMergeReturnsErrors(t *testing.T) {
	t.Parallel()
	bad := func(yield func(core.Row, error) bool) {
		_ = yield(core.Row{Key: "a"}, nil) && yield(core.Row{}, errCrashed)
	}
	if err := merge(bad, seqOf(nil), func(pair) error { return nil }); err != errCrashed {
		t.Errorf("source: %v", err)
	}
	if err := merge(seqOf(nil), bad, func(pair) error { return nil }); err != errCrashed {
		t.Errorf("target: %v", err)
	}
}
