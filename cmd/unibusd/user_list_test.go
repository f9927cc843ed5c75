package main

import (
	"errors"
	"io"
	"iter"
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

// TestFailedListPrintsNothing: without an answer there is no head, which would read as a cluster without users.
func TestFailedListPrintsNothing(t *testing.T) {
	t.Parallel()
	failed := core.Errorf(core.KindUnavailable, "no node answers it")
	pages := func(n int) func(yield func(core.UserPage, error) bool) {
		return func(yield func(core.UserPage, error) bool) {
			for range n {
				if !yield(core.UserPage{Users: []core.User{{ID: core.UserID(strings.Repeat("U", 56))}}}, nil) {
					return
				}
			}
			yield(core.UserPage{}, failed)
		}
	}
	for name, print := range map[string]func(io.Writer, iter.Seq2[core.UserPage, error]) error{"text": printUsers, "json": printUsersJSON} {
		var out strings.Builder
		if err := print(&out, pages(0)); !errors.Is(err, failed) || out.String() != "" {
			t.Errorf("%s: %v, and %q is printed", name, err, out.String())
		}
		if err := print(&out, pages(2)); !errors.Is(err, failed) || strings.Count(out.String(), strings.Repeat("U", 56)) != 2 {
			t.Errorf("%s: %v after two pages: %q", name, err, out.String())
		}
	}
	var empty strings.Builder
	if err := printUsers(&empty, func(yield func(core.UserPage, error) bool) { yield(core.UserPage{}, nil) }); err != nil || !strings.HasPrefix(empty.String(), "USER ") {
		t.Errorf("an empty list: %v, %q", err, empty.String())
	}
}
