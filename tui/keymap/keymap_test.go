package keymap_test

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/keymap"
)

func where(name string) string {
	return map[string]string{"filter": "f:2", "sort": "f:3", "user revoke": "f:4", "node drain": "f:5"}[name]
}

func newMap(t *testing.T, own map[string]string) keymap.Map {
	t.Helper()
	m, err := keymap.New(action.Table(), own, where)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestShippedKeysDoNotConflict also keeps the table free of fixed keys.
func TestShippedKeysDoNotConflict(t *testing.T) {
	t.Parallel()
	for _, b := range newMap(t, nil).Bindings() {
		for _, f := range keymap.Fixed() {
			if b.Key == f {
				t.Errorf("%s has the fixed key %s", b.Name, f)
			}
		}
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	m := newMap(t, map[string]string{"filter": "f5", "user revoke": "ctrl+r", "sort": "S", "reverse": "s"})
	for _, c := range []struct {
		page          action.PageName
		pressed, want string
	}{
		{action.PageUsers, "f5", "/"},
		{action.PageUsers, "/", ""},
		{action.PageUsers, "s", "S"},
		{action.PageUsers, "S", "s"}, // swapped
		{action.PageUsers, "ctrl+r", ""},
		{action.PageNodes, "ctrl+r", "ctrl+r"},
		{action.PageOverview, "f", "f"},
		{action.PageUsers, "f", "f"},
		{action.PageUsers, "up", "up"},
		{action.PageUsers, "a", "a"},
	} {
		if got := m.Translate(c.page, c.pressed); got != c.want {
			t.Errorf("%s on %s is %q, want %q", c.pressed, c.page, got, c.want)
		}
	}
	if got := m.Shown(action.PageUsers, "/ s S enter"); got != "f5 S s enter" {
		t.Errorf("shown: %q", got)
	}
	if a, ok := action.ByKey(m.Actions(), action.PageUsers, "ctrl+r"); !ok || a.Name != "user revoke" {
		t.Errorf("ctrl+r is %q", a.Name)
	}
	if _, ok := action.ByKey(m.Actions(), action.PageUsers, "r"); ok {
		t.Error("the old key still acts")
	}
}

func TestBadKeysAreRefusedByNameAndPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		own  map[string]string
		want string
	}{
		{map[string]string{"filter": "?"}, `f:2: the key ? does "filter", and it does "help" on every page as well`},
		{map[string]string{"filter": "f5", "sort": "f5"}, `f:3: the key f5 does "sort", and it does "filter" (f:2) on every page as well`},
		{map[string]string{"filter": "r"}, `f:2: the key r does "filter", and it does "user revoke" on the page users as well`},
		{map[string]string{"user revoke": "a"}, `f:4: the key a does "user revoke", and it does "user add" on the page users as well`},
		{map[string]string{"filter": "j"}, `f:2: the key j is fixed and cannot do "filter"`},
		{map[string]string{"filter": "hyper+x"}, `f:2: "hyper+x" is no key`},
		{map[string]string{"filter": ""}, `f:2: "" is no key`},
		{map[string]string{"fitler": "x"}, `: no key does "fitler"`},
	} {
		_, err := keymap.New(action.Table(), c.own, where)
		if err == nil || !strings.Contains(err.Error(), c.want) || core.KindOf(err) != core.KindInvalid || core.AsError(err).Next == "" {
			t.Errorf("%v: %v, want %s", c.own, err, c.want)
		}
	}
	// the same key on two pages is no conflict
	newMap(t, map[string]string{"user revoke": "ctrl+x", "node drain": "ctrl+x"})
}
