package main

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"unibus/core"
)

// TestUserListAlignsAsShown: the role begins in one cell, behind names of any script.
func TestUserListAlignsAsShown(t *testing.T) {
	t.Parallel()
	var page core.UserPage
	for _, name := range []string{"Ana", "山田太郎", "\U0001F468\u200D\U0001F469\u200D\U0001F467", "e\u0301cole"} {
		page.Users = append(page.Users, core.User{ID: core.UserID(strings.Repeat("U", 56)), Name: &name, Role: core.RoleMember, Status: core.UserActive})
	}
	var out strings.Builder
	if err := printUsers(&out, func(yield func(core.UserPage, error) bool) { yield(page, nil) }); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	head, _, _ := strings.Cut(lines[0], "ROLE")
	for _, line := range lines[1:] {
		if before, _, found := strings.Cut(line, string(core.RoleMember)); !found || ansi.StringWidth(before) != ansi.StringWidth(head) {
			t.Errorf("the role begins at %d, want %d:\n%s", ansi.StringWidth(before), ansi.StringWidth(head), line)
		}
	}
}
