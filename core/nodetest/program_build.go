package nodetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// ProgramBuild builds programs of this module for tests that need a binary other
// than their own. Each is built once in a process. The caller's TestMain owns and
// removes the directory.
type ProgramBuild struct {
	Dir  string // where the programs go
	once sync.Map
}

// Program returns the path of cmd/<name>.
func (b *ProgramBuild) Program(t testing.TB, name string) string {
	t.Helper()
	type result struct{ path, failure string }
	f, _ := b.once.LoadOrStore(name, sync.OnceValue(func() result {
		path := filepath.Join(b.Dir, name)
		cmd := exec.Command("go", "build", "-o", path, "unibus/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return result{failure: err.Error() + "\n" + strings.TrimSpace(string(out))}
		}
		return result{path: path}
	}))
	r := f.(func() result)()
	if r.failure != "" {
		t.Fatalf("building %s: %s", name, r.failure)
	}
	return r.path
}
