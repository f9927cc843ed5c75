// Package keymap holds the keys of the console: the effect of each, and which ones an operator has
// changed. The root model translates a pressed key with it before a page sees the key, so that pages know
// only the keys that they ship with.
//
// Begin reading with Map.
package keymap

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"unibus/core"
	"unibus/tui/action"
)

// Binding is a key and what it does.
type Binding struct {
	Name    string          // in the settings file
	Page    action.PageName // where the key works; "" on every page
	Default string          // the key that the console ships with
	Key     string          // the key in force

	isAction bool
}

// The places beside the pages whose keys can be changed as well.
const (
	Clusters action.PageName = "clusters" // the list of clusters
	Columns  action.PageName = "columns"  // the choice of columns
)

// commands are the keys that are no actions. Pages ask for them by their defaults.
func commands() []Binding {
	return []Binding{
		{Name: "command", Default: ":"},
		{Name: "filter", Default: "/"},
		{Name: "help", Default: "?"},
		{Name: "pause", Default: "space"},
		{Name: "copy", Default: "y"},
		{Name: "bell", Default: "B"},
		{Name: "quit", Default: "q"},
		{Name: "sort", Default: "s"},
		{Name: "reverse", Default: "S"},
		{Name: "mark", Default: "m"},
		{Name: "mark all", Default: "M"},
		{Name: "columns", Default: "C"},
		{Name: "export", Default: "x"},
		{Name: "undo", Default: "z"},
		{Name: "findings", Page: action.PageOverview, Default: "f"},
	}
}

// listCommands are those of the lists beside the pages.
func listCommands() []Binding {
	return []Binding{
		{Name: "ask again", Page: Clusters, Default: "r"},
		{Name: "all columns", Page: Columns, Default: "a"},
		{Name: "column left", Page: Columns, Default: "K"},
		{Name: "column right", Page: Columns, Default: "J"},
	}
}

// Fixed are the keys that always do the same: an operator must be able to move, to leave and to
// stop in a console that somebody else has set up. So are those of a question, y, n and ctrl+y in it included: what
// one operator tells another to press must be the answer that they mean. Many terminals send tab, enter and backspace for ctrl+i, ctrl+m and ctrl+h.
func Fixed() []string {
	return strings.Fields("up down left right pgup pgdown home end enter esc tab shift+tab ctrl+c ctrl+z ctrl+b ctrl+f ctrl+i ctrl+m ctrl+h j k g G 1 2 3 4 5 6 7 8 9")
}

// Map is the keys in force. The zero Map has none; create one with New.
type Map struct {
	bindings []Binding
	actions  []action.Action
}

// New applies an operator's own keys, by what they do, to those that the console ships with. where
// says at which place a name was given. KindInvalid for a name or a key that does not exist,
// for a key that is fixed, and for two of one key on one page.
func New(table []action.Action, own map[string]string, where func(name string) string) (Map, error) {
	m := Map{bindings: commands(), actions: slices.Clone(table)}
	for _, a := range table {
		m.bindings = append(m.bindings, Binding{Name: a.Name, Page: a.Scope, Default: a.Key, isAction: true})
	}
	m.bindings = append(m.bindings, listCommands()...)
	for i := range m.bindings {
		m.bindings[i].Key = m.bindings[i].Default
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if err := m.bind(name, own[name]); err != nil {
			return Map{}, core.Errorf(core.KindInvalid, "%s: %s", where(name), core.AsError(err).Text).WithNext("%s", core.AsError(err).Next)
		}
	}
	if err := m.refuseConflicts(own, where); err != nil {
		return Map{}, err
	}
	for i := range m.actions {
		m.actions[i].Key = m.keyOf(m.actions[i].Name)
	}
	return m, nil
}

// Default is the keys that the console ships with.
func Default(table []action.Action) Map {
	m, _ := New(table, nil, nil) // fails for an operator's own keys alone; a test reads the table
	return m
}

// keyForm is how Bubble Tea names a key that a person may choose.
var keyForm = regexp.MustCompile(`^((ctrl\+|alt\+){1,2}[a-z0-9]|[!-~]|f([1-9]|1[0-2])|space|insert|delete)$`)

func (m Map) bind(name, key string) error {
	i := slices.IndexFunc(m.bindings, func(b Binding) bool { return b.Name == name })
	switch {
	case i < 0:
		return core.Errorf(core.KindInvalid, "no key does %q", name).WithNext("`unibus-tui config` lists what keys do")
	case !keyForm.MatchString(key):
		return core.Errorf(core.KindInvalid, "%q is no key", key).WithNext("write one character, or f1 to f12, space, insert, delete, ctrl+a, alt+a")
	case slices.Contains(Fixed(), key):
		return core.Errorf(core.KindInvalid, "the key %s is fixed and cannot do %q", key, name).WithNext("choose another key; these are fixed: %s", strings.Join(Fixed(), " "))
	}
	m.bindings[i].Key = key
	return nil
}

// refuseConflicts names both, and the place of the one that the operator gave.
func (m Map) refuseConflicts(own map[string]string, where func(string) string) error {
	for i, a := range m.bindings {
		for _, b := range m.bindings[:i] {
			if a.Key == "" || a.Key != b.Key || a.Page != "" && b.Page != "" && a.Page != b.Page {
				continue
			}
			given, other := a, b
			if _, ok := own[given.Name]; !ok {
				given, other = b, a
			}
			at := ""
			if _, ok := own[other.Name]; ok {
				at = " (" + where(other.Name) + ")"
			}
			return core.Errorf(core.KindInvalid, "%s: the key %s does %q, and it does %q%s on %s as well", where(given.Name), a.Key, given.Name, other.Name, at, placeOf(a, b)).
				WithNext("give one of the two another key")
		}
	}
	return nil
}

func placeOf(a, b Binding) string {
	switch p := cmp.Or(a.Page, b.Page); p {
	case "":
		return "every page"
	case Clusters, Columns:
		return "the list of " + string(p)
	default:
		return "the page " + string(p)
	}
}

func (m Map) keyOf(name string) string {
	for _, b := range m.bindings {
		if b.Name == name {
			return b.Key
		}
	}
	return ""
}

// Actions are the actions with the keys in force.
func (m Map) Actions() []action.Action { return m.actions }

// Bindings are all keys, those of every page first.
func (m Map) Bindings() []Binding { return slices.Clone(m.bindings) }

// Translate is the key that a page knows a pressed key by; "" for one that does nothing there, and for one
// that an action has now.
func (m Map) Translate(p action.PageName, pressed string) string {
	for _, b := range m.on(p) {
		if b.Key == pressed {
			if b.isAction && b.Key != b.Default {
				return ""
			}
			return b.Default
		}
	}
	for _, b := range m.on(p) {
		if b.Default == pressed && !b.isAction {
			return ""
		}
	}
	return pressed
}

// Shown is how a key that a page knows is called on the screen. keys may name several.
func (m Map) Shown(p action.PageName, keys string) string {
	words := strings.Split(keys, " ")
	for i, w := range words {
		for _, b := range m.on(p) {
			if b.Default == w && !b.isAction {
				words[i] = b.Key
			}
		}
	}
	return strings.Join(words, " ")
}

func (m Map) on(p action.PageName) []Binding {
	var out []Binding
	for _, b := range m.bindings {
		if b.Page == "" || b.Page == p {
			out = append(out, b)
		}
	}
	return out
}
