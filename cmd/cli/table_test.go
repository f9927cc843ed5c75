package cli

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// TestTablesAlignAsShown: the columns after names of any script begin in one cell, also where only ASCII is written.
func TestTablesAlignAsShown(t *testing.T) {
	t.Parallel()
	names := []string{
		"Ana", "山田太郎", "김민수", "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466", "e\u0301cole", "علی\u200cرضا", "ක්\u200dරිෂ්ණ", "\u2764\uFE0F", "–", "",
	}
	print := func(w interface{ Write([]byte) (int, error) }) {
		Table(w, "USER\tNAME\tROLE", func(row func(string, ...any)) {
			for i, name := range names {
				row("%d\t%s\t%s", i, name, "|member")
			}
		})
	}
	var out strings.Builder
	print(&out)
	checkColumn(t, out.String(), ansi.StringWidth)

	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	print(redacting{File: file, ascii: true})
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	checkColumn(t, string(text), utf8.RuneCountInString)
}

// checkColumn wants every mark of a table's last column in one cell, that of its head.
func checkColumn(t *testing.T, text string, width func(string) int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	head, _, _ := strings.Cut(lines[0], "ROLE")
	for _, line := range lines[1:] {
		before, _, found := strings.Cut(line, "|")
		if !found || width(before) != width(head) {
			t.Errorf("the last column begins at %d, want %d:\n%s", width(before), width(head), text)
		}
	}
}
