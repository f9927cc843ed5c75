package statefile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"unibus/core"
	"unibus/tui/statefile"
)

func open(t *testing.T, path string) *statefile.Store {
	t.Helper()
	s, err := statefile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTwoConsolesKeepEachOthersChanges: each change is made to the file as it is then.
func TestTwoConsolesKeepEachOthersChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "unibus", "console.json")
	var wg sync.WaitGroup
	for i, s := range []*statefile.Store{open(t, path), open(t, path)} {
		s.Change(func(st *statefile.State) { st.SetColumns(fmt.Sprint("page", i), []string{"NAME"}) })
		for n := range 20 {
			wg.Go(func() {
				s.Change(func(st *statefile.State) { st.AddCommand(fmt.Sprintf("user add %d", n)) })
				if err := s.Save(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	got := open(t, path).State()
	if len(got.Columns) != 2 || len(got.History) != 20 {
		t.Errorf("remembered: %+v", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".console-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestUnreadableFileIsLeftAsItIs, and the notice names it and what to do.
func TestUnreadableFileIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"no JSON": "columns = 3", "another version": `{"version":7}`, "another shape": `{"version":1,"history":"quit"}`,
		"cut": `{"version":1,"history":["qu`, "empty": "", "huge": `{"version":1,"history":["` + strings.Repeat("x", 1<<20) + `"]}`,
	} {
		path := filepath.Join(t.TempDir(), "console.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := statefile.Open(path)
		e := core.AsError(err)
		if err == nil || !strings.Contains(e.Text, path) || !strings.Contains(e.Next, path) {
			t.Errorf("%s: %v", name, err)
		}
		s.Change(func(st *statefile.State) { st.AddCommand("users") })
		if err := s.Save(); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: saved: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%s: the file was changed", name)
		}
		if got := s.State().History; !slices.Equal(got, []string{"users"}) {
			t.Errorf("%s: this session remembers %q", name, got)
		}
	}
}

func TestHistoryIsBoundedAndWithoutRepetitions(t *testing.T) {
	t.Parallel()
	var s statefile.State
	for i := range 300 {
		s.AddCommand(fmt.Sprint("command ", i))
		s.AddCommand("users")
	}
	if n := len(s.History); n != 100 || s.History[n-1] != "users" || s.History[n-2] != "command 299" || s.History[0] != "command 201" {
		t.Errorf("%d commands, %q to %q", n, s.History[0], s.History[n-1])
	}
}

func TestPathFollowsTheStandard(t *testing.T) {
	t.Setenv("HOME", "/home/ana")
	for env, want := range map[string]string{
		"/var/state": "/var/state/unibus/console.json",
		"":           "/home/ana/.local/state/unibus/console.json",
		"relative":   "/home/ana/.local/state/unibus/console.json",
	} {
		got, err := statefile.Path(func(string) string { return env })
		if err != nil || got != want {
			t.Errorf("%q: %s, %v", env, got, err)
		}
	}
}

// TestNoStoreRemembersNothing, as in a console that a node serves.
func TestNoStoreRemembersNothing(t *testing.T) {
	t.Parallel()
	var s *statefile.Store
	s.Change(func(st *statefile.State) { st.AddCommand("users") })
	if err := s.Save(); err != nil || s.State().History != nil {
		t.Errorf("%v, %+v", err, s.State())
	}
}
