package clitest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	list := &cobra.Command{Use: "list ROOM", Run: func(*cobra.Command, []string) {}}
	list.Flags().String("server", "", "")
	room := &cobra.Command{Use: "room"}
	room.AddCommand(list)
	root := &cobra.Command{Use: "prog", Run: func(*cobra.Command, []string) {}}
	root.Flags().Bool("ascii", false, "")
	root.AddCommand(room)
	for text, want := range map[string]string{
		"`prog room list --server URL`, `prog room …`, `prog --ascii` and `prog --help`": "",
		"a word, prog roam, and `other --flag`, `systemctl start prog now --quiet`":      "",
		"`prog roam`":                                      "`prog roam`, which is no command",
		"`A=1 prog roam`":                                  "`prog roam`, which is no command",
		"`prog room lost`":                                 "`prog room lost`, which is no command",
		"`prog room\nlist --sever URL`":                    "`prog room list --sever`, which is no flag of it",
		"`prog room list words --sever=URL`":               "`prog room list --sever`, which is no flag of it",
		"```\nprog room list \\\n  --sever URL\n```":       "`prog room list --sever`, which is no flag of it",
		"```\nmake; bin/prog --askii   # --more\n```":      "`prog --askii`, which is no flag of it",
		"1. so\n\n   ```\n   su -- prog roam\n   ```\n":    "`prog roam`, which is no command",
		"```\nfor n in 1 2; do\n  prog roam | less\n```\n": "`prog roam`, which is no command",
	} {
		if got := strings.Join(Faults(text, root), "\n"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestSingleFlags(t *testing.T) {
	t.Parallel()
	root := &cobra.Command{Use: "prog"}
	root.AddCommand(&cobra.Command{Use: "list"})
	root.Commands()[0].Flags().Bool("all", false, "")
	if got := strings.Join(SingleFlags("`--all`, `--rate N`, `--to=n1`, `prog --not` and --bare"), " "); got != "all rate to" {
		t.Errorf("found %q", got)
	}
	if flags := Flags(root); !flags["all"] || flags["rate"] {
		t.Errorf("the flags are %v", flags)
	}
}

func TestDocumentsAreAllMarkdownFiles(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	for _, file := range []string{"README.md", "guide/a.md", ".github/b.md", ".git/c.md", "core/testdata/d.md", "core/e.go"} {
		path := filepath.Join(top, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(Documents(t, top), " "); got != ".github/b.md README.md guide/a.md" {
		t.Errorf("found %q", got)
	}
}
