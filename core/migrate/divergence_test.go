package migrate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"unibus/core"
)

// otherFile is the SQLite file of another node: its rows, after how many of a
// table it cannot be read further and why, and the rows that cannot be converted.
type otherFile struct {
	tables
	after    int
	broken   error
	problems []core.Problem
}

func (w *fakeCluster) peerRows(_ context.Context, node string, t core.Table) iter.Seq2[RowDigest, error] {
	return func(yield func(RowDigest, error) bool) {
		f := w.otherFiles[node]
		for i, r := range f.rows(t) {
			if f.broken != nil && i == f.after {
				break
			}
			if !yield(RowDigest{r.Key, sha256.Sum256(r.Value)}, nil) {
				return
			}
		}
		if f.broken != nil {
			yield(RowDigest{}, f.broken)
		}
	}
}

func (w *fakeCluster) peerProblems(_ context.Context, node string, limit int) ([]core.Problem, error) {
	ps := w.otherFiles[node].problems
	return ps[:min(limit, len(ps))], nil
}

// giveOtherFile gives n2 a changed copy of the source.
func (w *fakeCluster) giveOtherFile(change func(*otherFile)) {
	f := otherFile{tables: w.source.clone()}
	if change != nil {
		change(&f)
	}
	w.otherFiles = map[string]otherFile{"n2": f}
	w.peers[1].File, w.peers[1].Serving = "/n2/unibus.db", core.BackendSQLite
}

func TestDriftStopsTheMove(t *testing.T) {
	t.Parallel()
	for _, table := range fileTables() {
		for name, c := range map[string]struct {
			change func(map[string][]byte)
			want   TableDivergence
			words  string
		}{
			"only there": {
				func(m map[string][]byte) { m["zz1"], m["zz2"] = []byte("x"), []byte("y") },
				TableDivergence{Table: table, OnlyThere: 2, Keys: []string{"there/zz1", "there/zz2"}},
				"2 only there",
			},
			"different": {
				func(m map[string][]byte) { m["k0003"] = []byte("other") },
				TableDivergence{Table: table, Different: 1, Keys: []string{"different/k0003"}},
				"1 different",
			},
			"all": {
				func(m map[string][]byte) {
					delete(m, "k0000")
					m["k0001"], m["zz"] = []byte("other"), []byte("x")
				},
				TableDivergence{Table: table, OnlyHere: 1, OnlyThere: 1, Different: 1, Keys: []string{"there/zz", "different/k0001", "here/k0000"}},
				"1 only there and 1 different",
			},
		} {
			t.Run(string(table)+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newFakeCluster(t, 5)
				w.giveOtherFile(func(f *otherFile) { c.change(f.tables[table]) })
				s := startAndWait(t, w.job(t, nil), w.options())
				wantRefused(t, errOf(s), "/n2/unibus.db", string(table)+" "+c.words)
				if s.State != StatePreflight || w.authorityRevision != 0 || w.puts != 0 || len(s.Problems) != 1 {
					t.Fatalf("%s, generation %d, %d written: %+v", s.State, w.authorityRevision, w.puts, s.Problems)
				}
				for _, word := range []string{"--ignore-node n2", "--node n2 --db /n2/unibus.db"} {
					if !strings.Contains(s.Problems[0].Next, word) {
						t.Errorf("%q does not say %q", s.Problems[0].Next, word)
					}
				}
				if d := cmp.Diff([]Divergence{divergenceWith(c.want)}, s.Divergences); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

// TestOtherFileIsMigratedInstead by the commands that the problem names.
func TestOtherFileIsMigratedInstead(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.giveOtherFile(func(f *otherFile) { f.tables[core.TableUsers]["zz"] = []byte("x") })
	const abort = "`unibusd migration abort`"
	j := w.job(t, nil)
	o := w.options()
	o.DryRun = true
	if s := startAndWait(t, j, o); len(s.Problems) != 1 || strings.Contains(s.Problems[0].Next, abort) { // it would be refused
		t.Errorf("%+v", s.Problems)
	}
	s := startAndWait(t, j, w.options())
	if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Next, abort+", then `unibusd migrate-to-kv --node n2 --db /n2/unibus.db`") {
		t.Fatalf("%+v", s.Problems)
	}
	if s = startAndWait(t, j, o); len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Next, abort) {
		t.Errorf("a dry run beside it: %+v", s.Problems)
	}
	awaitStatus(t, j, "the record", func(Status) (seen bool) {
		w.locked(func() { seen = strings.Contains(string(w.record), `"state":"preflight"`) })
		return seen
	})
	n2 := w.job(t, func(c *Config) {
		c.Node, c.Journal = "n2", NewFileJournal(filepath.Join(t.TempDir(), "j"))
	})
	_, err := n2.Start(t.Context(), "ana", w.options())
	wantRefused(t, err, "n1 runs a migration")
	if _, err := j.Abort(t.Context(), "ana"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, j, "the record", func(Status) (seen bool) {
		w.locked(func() { seen = strings.Contains(string(w.record), `"state":"aborted"`) })
		return seen
	})
	if _, err := n2.Start(t.Context(), "ana", w.options()); err != nil {
		t.Error(err)
	}
	awaitStopped(t, n2)
}

// divergenceWith is the divergence of n2 if all tables but one are equal.
func divergenceWith(td TableDivergence) Divergence {
	d := Divergence{Node: "n2", File: "/n2/unibus.db"}
	for _, t := range fileTables() {
		if t == td.Table {
			d.Tables = append(d.Tables, td)
			continue
		}
		d.Tables = append(d.Tables, TableDivergence{Table: t})
	}
	return d
}

func TestDivergenceThatLosesNothingIsShown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*otherFile){
		"equal":  nil,
		"subset": func(f *otherFile) { delete(f.tables[core.TableUsers], "k0000") },
		"empty":  func(f *otherFile) { f.tables = newTables() },
		// The index is derived from the members and cannot diverge by itself.
		"index": func(f *otherFile) { f.tables[core.TableRoomsByMember]["x"] = []byte("y") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 5)
			w.giveOtherFile(change)
			s := startAndWait(t, w.job(t, nil), w.options())
			wantState(t, s, StateVerify)
			if len(s.Divergences) != 1 || len(s.Divergences[0].Tables) != 4 || s.Divergences[0].Ignored || len(s.Problems) != 0 {
				t.Errorf("%+v, %+v", s.Divergences, s.Problems)
			}
		})
	}
}

func TestIgnoredNodeKeepsItsFile(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.giveOtherFile(func(f *otherFile) { f.tables[core.TableUsers]["zz"] = []byte("x") })
	j, o := w.job(t, nil), w.options()
	o.IgnoredNodes = []string{"n2"}
	s := startAndWait(t, j, o)
	wantState(t, s, StateVerify)
	if len(s.Divergences) != 1 || !s.Divergences[0].Ignored || s.Divergences[0].Tables[0].OnlyThere != 1 {
		t.Errorf("%+v", s.Divergences)
	}
	if _, there := w.target[core.TableUsers]["zz"]; there || !w.target.equal(w.source) {
		t.Error("what was discarded was moved")
	}
}

func TestIgnoringANodeWithoutAFileIsInvalid(t *testing.T) {
	t.Parallel()
	for name, word := range map[string]string{"n1": "is migrated", "n3": "no SQLite file", "n9": "no node", "": "no node"} {
		w := newFakeCluster(t, 5)
		w.giveOtherFile(nil)
		o := w.options()
		o.IgnoredNodes = []string{name}
		s := startAndWait(t, w.job(t, nil), o)
		if core.KindOf(errOf(s)) != core.KindInvalid || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, word) || s.Problems[0].Next == "" || w.authorityRevision != 0 {
			t.Errorf("%q: %v %+v", name, s.Error, s.Problems)
		}
	}
}

// TestFileThatCannotBeReadStopsTheMove: its content is unknown, unless the
// operator leaves it behind.
func TestFileThatCannotBeReadStopsTheMove(t *testing.T) {
	t.Parallel()
	rows := make([]core.Problem, problemsListed+5)
	for i := range rows {
		rows[i] = core.Problem{Table: core.TableRooms, Key: fmt.Sprintf("r%d", i), Text: "its epoch is a text", Next: "mend it"}
	}
	for name, c := range map[string]struct {
		file     otherFile
		problems int
		words    []string
	}{
		"silent":  {otherFile{broken: core.Errorf(core.KindUnavailable, "n2 does not answer for its SQLite file")}, 1, []string{"does not answer"}},
		"damaged": {otherFile{broken: core.Errorf(core.KindFailed, "the database is damaged: page 7")}, 1, []string{"page 7"}},
		"midway":  {otherFile{after: 3, broken: core.Errorf(core.KindFailed, "the database is damaged: page 9")}, 1, []string{"page 9"}},
		"row":     {otherFile{after: 2, broken: core.Errorf(core.KindFailed, "the row r0 cannot be used"), problems: rows[:2]}, 3, []string{"2 rows cannot", "on n2: its epoch"}},
		"many":    {otherFile{broken: core.Errorf(core.KindFailed, "the row r0 cannot be used"), problems: rows}, problemsListed + 1, []string{"at least 100 rows"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeCluster(t, 5)
			w.giveOtherFile(func(f *otherFile) {
				f.after, f.broken, f.problems = c.file.after, c.file.broken, c.file.problems
			})
			s := startAndWait(t, w.job(t, nil), w.options())
			wantRefused(t, errOf(s))
			if len(s.Problems) != c.problems || len(s.Divergences) != 1 || s.Divergences[0].Error == "" || w.authorityRevision != 0 {
				t.Fatalf("%d problems, %+v", len(s.Problems), s.Divergences)
			}
			all := fmt.Sprintf("%+v", s.Problems)
			for _, word := range append(c.words, "--ignore-node n2") {
				if !strings.Contains(all, word) {
					t.Errorf("%q is not in %s", word, all)
				}
			}
			o := w.options()
			o.IgnoredNodes = []string{"n2"}
			s = startAndWait(t, w.job(t, nil), o)
			wantState(t, s, StateVerify)
			if !s.Divergences[0].Ignored || s.Divergences[0].Error == "" {
				t.Errorf("%+v", s.Divergences)
			}
		})
	}
}

// TestSourceErrorNamesTheSource: an error of the source names the source.
func TestSourceErrorNamesTheSource(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.giveOtherFile(nil)
	w.before = func(op string) error {
		if op == "source.rows" {
			return core.Errorf(core.KindFailed, "the disk of n1 is broken")
		}
		return nil
	}
	s := startAndWait(t, w.job(t, nil), w.options())
	if core.KindOf(errOf(s)) != core.KindFailed || !strings.Contains(s.Error.Text, "the disk of n1") || len(s.Problems) != 0 {
		t.Errorf("%v, %+v", s.Error, s.Problems)
	}
}

// The source's own rows stop the migration and are the only problem.
func TestUnreadableSourceIsNotCompared(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.problems = []core.Problem{{Table: core.TableRooms, Key: "r1", Text: "orphan", Next: "x"}}
	w.giveOtherFile(func(f *otherFile) { f.tables[core.TableUsers]["zz"] = []byte("x") })
	s := startAndWait(t, w.job(t, nil), w.options())
	wantRefused(t, errOf(s), "orphan")
	if len(s.Problems) != 1 || len(s.Divergences) != 1 || s.Divergences[0].Error == "" {
		t.Errorf("%+v, %+v", s.Problems, s.Divergences)
	}
}

// TestDryRunComparesToo: the same findings, and nothing written.
func TestDryRunComparesToo(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 5)
	w.giveOtherFile(func(f *otherFile) { f.tables[core.TableUsers]["zz"] = []byte("x") })
	o := w.options()
	o.DryRun = true
	s := startAndWait(t, w.job(t, nil), o)
	wantRefused(t, errOf(s), "users 1 only there")
	if len(s.Divergences) != 1 || s.Divergences[0].Tables[0].OnlyThere != 1 || s.EstimateMS == 0 || w.authorityRevision != 0 || w.record != nil {
		t.Errorf("drift %+v, estimate %d", s.Divergences, s.EstimateMS)
	}
}

// TestDivergenceListsAtMostMaxListed: of 100,000 rows that differ a status names few, those first that would be lost.
func TestDivergenceListsAtMostMaxListed(t *testing.T) {
	t.Parallel()
	const n = 100_000
	w := newFakeCluster(t, 0)
	pulled := 0
	j := w.job(t, func(c *Config) {
		c.Source = longSource{fakeSource{w}, n}
		c.PeerRows = func(_ context.Context, _ string, _ core.Table) iter.Seq2[RowDigest, error] {
			return func(yield func(RowDigest, error) bool) {
				for i := n / 2; i < n+n/2; i++ {
					pulled++
					if !yield(RowDigest{Key: fmt.Sprintf("k%07d", i)}, nil) {
						return
					}
				}
			}
		}
	})
	td, theirs, err := j.compareFileTable(t.Context(), "n2", core.TableUsers)
	if err != nil || theirs != nil {
		t.Fatal(err, theirs)
	}
	want := TableDivergence{Table: core.TableUsers, OnlyHere: n / 2, OnlyThere: n / 2, Different: n / 2}
	for i := range MaxListed {
		want.Keys = append(want.Keys, fmt.Sprintf("there/k%07d", n+i))
	}
	if d := cmp.Diff(want, td); d != "" || pulled != n {
		t.Errorf("pulled %d\n%s", pulled, d)
	}
}

// longSource makes its rows while they are read: none is held.
type longSource struct {
	fakeSource
	n int
}

func (s longSource) Rows(_ context.Context, t core.Table) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		for i := range s.n {
			if !yield(core.Row{Table: t, Key: fmt.Sprintf("k%07d", i), Value: []byte("x")}, nil) {
				return
			}
		}
	}
}

// TestDivergenceCountsMatchMaps compares with the plain way to count.
func TestDivergenceCountsMatchMaps(t *testing.T) {
	t.Parallel()
	w := newFakeCluster(t, 0)
	j := w.job(t, nil)
	table := rapid.MapOf(rapid.StringMatching(`[a-d]{1,3}`), rapid.SampledFrom([]string{"1", "2"}))
	rapid.Check(t, func(rt *rapid.T) {
		here, there := table.Draw(rt, "here"), table.Draw(rt, "there")
		w.source, w.otherFiles = asTables(here), map[string]otherFile{"n2": {tables: asTables(there)}}
		want := TableDivergence{Table: core.TableUsers}
		keys := map[string]bool{}
		for k, v := range here {
			other, both := there[k]
			switch {
			case !both:
				want.OnlyHere++
				keys["here/"+k] = true
			case v != other:
				want.Different++
				keys["different/"+k] = true
			}
		}
		for k := range there {
			if _, both := here[k]; !both {
				want.OnlyThere++
				keys["there/"+k] = true
			}
		}
		got, theirs, err := j.compareFileTable(context.Background(), "n2", core.TableUsers)
		if err != nil || theirs != nil {
			rt.Fatal(err, theirs)
		}
		named := map[string]bool{}
		for _, k := range got.Keys {
			named[k] = true
		}
		if got.Keys = nil; len(named) > MaxListed || len(keys) <= MaxListed && !maps.Equal(named, keys) {
			rt.Fatalf("named %v, want %v", named, keys)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatal(d)
		}
	})
}

// TestAppendLimitedKeepsFew: the list is bounded while it is gathered, not only in the end.
func TestAppendLimitedKeepsFew(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 10 * MaxListed {
		keys = appendLimited(keys, fmt.Sprint(i))
	}
	if len(keys) != MaxListed {
		t.Errorf("%d keys were kept", len(keys))
	}
}
