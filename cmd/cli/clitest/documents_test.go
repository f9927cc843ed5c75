package clitest

import (
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
