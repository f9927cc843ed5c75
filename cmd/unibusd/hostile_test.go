package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// TestHostileFilesAreRefused gives the program a database with a program in it, at each
// place that takes a file. The program says so and ends, the file is unchanged, and no new
// file is made of it.
func TestHostileFilesAreRefused(t *testing.T) {
	t.Parallel()
	good := hostile.GenuineFile("version1")
	for _, f := range hostile.Schemas() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "hostile.db")
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := hostile.Spoil(path, append([]string{"PRAGMA journal_mode=DELETE"}, f.SQL...)...); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			made := filepath.Join(dir, "made.db")
			for _, args := range [][]string{
				{"restore", "--from", path, "--db", made},
				{"user", "list", "--db", path},
				{"user", "revoke", string(storetest.NewUserID(t)), "--db", path},
				{"user", "add", string(storetest.NewUserID(t)), "--db", path},
				{"serve", "--name", "n1", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--db", path},
			} {
				refuses(t, path, args...)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed, %v", err)
			}
			if _, err := os.Stat(made); err == nil {
				t.Error("a database was made of it")
			}
		})
	}
}

// refuses runs the program, which must end by itself with an error about the file.
func refuses(t *testing.T, path string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, "unibusd"), args...).CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Errorf("%v: it goes on: %s", args[:2], out)
	case err == nil:
		t.Errorf("%v: it was taken: %s", args[:2], out)
	case !strings.Contains(string(out), filepath.Base(path)) || !strings.Contains(string(out), "\n  "):
		t.Errorf("%v: of what, and then? %s", args[:2], out)
	}
}
