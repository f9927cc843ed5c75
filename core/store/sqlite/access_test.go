package sqlite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// childVariable names the file that a child process opens; childMount the directory that it mounts read-only before.
const (
	childVariable = "UNIBUS_TEST_OPEN"
	childMount    = "UNIBUS_TEST_READ_ONLY"
)

// TestOpenInAChild is no test: it opens a file in a process of another user, and prints what came of it.
func TestOpenInAChild(t *testing.T) {
	path := os.Getenv(childVariable)
	if path == "" {
		t.Skip("it is called by TestWhoMayNotUseTheFile")
	}
	if dir := os.Getenv(childMount); dir != "" {
		must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		must(t, syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
		must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	}
	s := New(Config{Path: path, Create: true})
	err := s.Open(context.Background())
	if err == nil {
		err = s.Close()
	}
	fmt.Printf("%s|%s|%s|\n", core.KindOf(err), core.AsError(err).Error(), core.AsError(err).Next)
}

// openAs opens a file in a child process, as the user nobody or with a directory mounted read-only.
func openAs(t *testing.T, binary, path, readOnly string) (kind core.Kind, text, next string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, "-test.run=^TestOpenInAChild$", "-test.v")
	c.Dir = "/"
	c.Env = append(os.Environ(), childVariable+"="+path, childMount+"="+readOnly)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if readOnly != "" {
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if parts := strings.Split(line, "|"); len(parts) == 4 {
			return core.Kind(parts[0]), parts[1], parts[2]
		}
	}
	t.Fatalf("no answer:\n%s", out)
	return "", "", ""
}

// TestWhoMayNotUseTheFile: owners, modes and mounts are told as what they are, each with the command that helps, and never
// as a fault of the database.
func TestWhoMayNotUseTheFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("it needs root, to become another user and to mount")
	}
	base, err := os.MkdirTemp("/tmp", "unibus-access-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	must(t, os.Chmod(base, 0o755))
	binary := filepath.Join(base, "child") // where another user may run it
	own, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(binary, own, 0o755))
	for name, c := range map[string]struct {
		spoil      func(t *testing.T, dir, db string)
		mount      bool
		text, next string
	}{
		"the file is root's":               {func(t *testing.T, _, db string) { must(t, os.Chown(db, 0, 0)) }, false, "the database %s cannot be read: it belongs to root with mode 0600", "chown nobody %s"},
		"the file is for reading":          {func(t *testing.T, _, db string) { must(t, os.Chmod(db, 0o444)) }, false, "the database %s cannot be written: it belongs to nobody with mode 0444", "chmod u+rwX %s"},
		"the log is root's":                {func(t *testing.T, _, db string) { other(t, db+"-wal", 0o600) }, false, "the database's log %s-wal cannot be read: it belongs to root", "chown nobody %s-wal"},
		"the index is root's":              {func(t *testing.T, _, db string) { other(t, db+"-shm", 0o644) }, false, "the index of the database's log %s-shm cannot be written: it belongs to root", "chown nobody %s-shm"},
		"the journal is root's":            {func(t *testing.T, _, db string) { other(t, db+"-journal", 0o600) }, false, "the database's journal %s-journal cannot be read: it belongs to root", "chown nobody %s-journal"},
		"the log is a directory":           {func(t *testing.T, _, db string) { must(t, os.Mkdir(db+"-wal", 0o755)) }, false, "the database's log %s-wal is not a regular file", "stop the node"},
		"the directory is root's":          {func(t *testing.T, dir, _ string) { must(t, os.Chown(dir, 0, 0)) }, false, "SQLite keeps a log there", "chown nobody "},
		"the directory is closed":          {func(t *testing.T, dir, _ string) { must(t, os.Chown(dir, 0, 0)); must(t, os.Chmod(dir, 0o700)) }, false, "the directory of the database %s cannot be entered: it belongs to root with mode 0700", "chown nobody "},
		"no file, and a directory of root": {func(t *testing.T, dir, db string) { must(t, os.Remove(db)); must(t, os.Chown(dir, 0, 0)) }, false, "SQLite keeps a log there", "chown nobody "},
		"a read-only mount":                {func(*testing.T, string, string) {}, true, "its file system is mounted read-only; nothing is wrong with the database", "dmesg"},
		"no file on a read-only mount":     {func(t *testing.T, _, db string) { must(t, os.Remove(db)) }, true, "its file system is mounted read-only", "dmesg"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(base, strings.NewReplacer(" ", "_", "'", "", ",", "").Replace(name))
			must(t, os.Mkdir(dir, 0o755))
			db := filepath.Join(dir, "unibus.db")
			must(t, os.WriteFile(db, hostile.GenuineFile("version1"), 0o600))
			must(t, os.Chown(dir, 65534, 65534))
			must(t, os.Chown(db, 65534, 65534))
			c.spoil(t, dir, db)
			mounted := ""
			if c.mount {
				mounted = dir
			}
			kind, text, next := openAs(t, binary, db, mounted)
			filled := func(s string) string { return strings.ReplaceAll(s, "%s", db) }
			if kind != core.KindRefused || !strings.Contains(text, filled(c.text)) || !strings.Contains(next, filled(c.next)) {
				t.Errorf("%s: %s\n  %s", kind, text, next)
			}
		})
	}
}

// other makes a file of root's beside the database.
func other(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Chmod(path, mode))
}

// TestALockedFileIsNotDamaged: another process holds a lock until the end of the time.
func TestALockedFileIsNotDamaged(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := opened(t, Config{Path: path, Create: true, Timeout: 2 * time.Second}) // several of SQLite's own waits
	must(t, hostile.Hold(t.Context(), path, func() {
		err := s.AddUser(t.Context(), storetest.NewUser(t, "a"))
		wantKind(t, err, core.KindUnavailable, "another process holds a lock", "nothing is wrong with the file")
	}))
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "a")))
}
