package action

import (
	"context"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

// Client is what actions call. The operators' client satisfies it.
type Client interface {
	UserAdd(ctx context.Context, u core.User) (core.User, error)
	Revoke(ctx context.Context, id string) (admin.Revoked, error)
	UserActivate(ctx context.Context, id string) (core.User, error)
	RoomRekey(ctx context.Context, r admin.RekeyRequest) (admin.Asked, error)
	BucketScale(ctx context.Context, replicas int) (admin.Done, error)
	StepDown(ctx context.Context, group, to string) (admin.Done, error)
	MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error)
	MigratePause(ctx context.Context, node string) (migrate.Status, error)
	MigrateResume(ctx context.Context, node string) (migrate.Status, error)
	MigrateAbort(ctx context.Context, node string) (migrate.Status, error)
	MigrateCutover(ctx context.Context, node string) (migrate.Status, error)
	MigrateLimit(ctx context.Context, node string, rate int) (migrate.Status, error)
	MigrateRollback(ctx context.Context, node string) (migrate.Status, error)
	MigrateFinish(ctx context.Context, node string) (migrate.Status, error)
}

// Danger is how much is asked before an action runs.
type Danger int

// The tiers.
const (
	None        Danger = iota // at once: it changes nothing that matters and can be taken back
	YesNo                     // a question with Cancel in focus
	ObjectName                // the name of what it is done to must be typed
	ClusterName               // the cluster's name must be typed
)

// Selection is what an action is done to.
type Selection struct {
	Kind string   // user, bucket, node, room; "" for nothing
	IDs  []string // whole ids
	Room string   // of members: the room that they were selected in
}

// One is the only id, "" where there are none or several.
func (s Selection) One(kind string) string {
	if s.Kind != kind || len(s.IDs) != 1 {
		return ""
	}
	return s.IDs[0]
}

// State is what an action may look at when it asks its question.
type State struct {
	Snap     *feed.Snapshot
	Selected Selection
	ReadOnly bool
	Flags    string // what the "same as" lines end with: --server … --identity …
	Dir      string // where reports are saved
	Now      time.Time
}

// Question is what is asked before an action runs.
type Question struct {
	Title   string
	Lines   []string
	Fields  []widget.Field
	Confirm string // the button
	Word    string // what must be typed for ObjectName
	Or      string // what may be typed in its place, "" for nothing

	Whole func(values []string) error // says which fields do not go together; nil: any do
}

// Action is one thing that an operator can do.
type Action struct {
	Name    string // as it is typed behind :
	Aliases []string
	Key     string
	Scope   string // the page on which Key works
	Takes   string // the kind of its argument, "" for none
	Local   bool   // changes nothing in the cluster: viewers may, and read-only consoles
	Danger  Danger
	Help    string                                                                        // a short sentence
	Why     func(s State) string                                                          // why it is not possible now, "" where it is
	Ask     func(s State) Question                                                        // nil for Danger None
	Choose  func(s State) (Question, bool)                                                // for Danger None: what has to be chosen first; nil, or false: nothing
	Same    func(s State, values []string) string                                         // without the flags
	Run     func(ctx context.Context, c Client, s State, values []string) (string, error) // a sentence about what was done; lines behind it are paragraphs to be read
}

// Table returns every action, in the order of the help.
func Table() []Action {
	var t []Action
	t = append(t, users()...)
	t = append(t, rooms()...)
	t = append(t, groups()...)
	return append(t, moves()...)
}

// Impossible says why an action cannot be done now, "" where it can.
func (a Action) Impossible(s State) string {
	if !a.Local {
		if s.ReadOnly {
			return "this console was started with --read-only"
		}
		op := s.Snap.Status.Value.Operator
		switch {
		case !s.Snap.Status.Known():
			return "no node has answered yet"
		case op.Role != core.OperatorAdmin:
			return op.Name + " is a " + string(op.Role) + ": only an admin may do this"
		}
	}
	if a.Why == nil {
		return ""
	}
	return a.Why(s)
}

// SameAs is the whole command line that does the same.
func (a Action) SameAs(s State, values []string) string {
	line := a.Same(s, values)
	if line == "" || s.Flags == "" {
		return line
	}
	return line + " " + s.Flags
}

// Dialog is the question of an action with what its danger demands.
func (a Action) Dialog(s State) widget.Ask {
	q, _ := a.question(s)
	ask := widget.Ask{Title: q.Title, Lines: q.Lines, Fields: q.Fields, Confirm: q.Confirm, Danger: a.Danger >= ObjectName}
	own := len(q.Fields) // what must be typed beyond them is no part of the command
	ask.Same = func(values []string) string { return a.SameAs(s, values[:own]) }
	if q.Whole != nil {
		ask.Whole = func(values []string) error { return q.Whole(values[:own]) }
	}
	switch a.Danger {
	case ObjectName:
		ask.Fields = append(ask.Fields, typed("Type "+q.Word+":", q.Word, q.Or))
	case ClusterName:
		ask.Fields = append(ask.Fields, typed("Type the cluster's name:", s.Snap.Status.Value.Cluster, ""))
	}
	return ask
}

// Asks is true where something has to be answered before an action runs.
func (a Action) Asks(s State) bool {
	_, ok := a.question(s)
	return ok
}

func (a Action) question(s State) (Question, bool) {
	switch {
	case a.Ask != nil:
		return a.Ask(s), true
	case a.Choose != nil:
		return a.Choose(s)
	}
	return Question{}, false
}

func typed(label, word, or string) widget.Field {
	return widget.Field{Label: label, Check: func(v string) error {
		if v != "" && (v == word || v == or) {
			return nil
		}
		return core.Errorf(core.KindInvalid, "That is not %s. Esc leaves everything as it is.", word)
	}}
}

// Find returns the action that a typed line names and what follows the name.
// The longest name or alias wins.
func Find(table []Action, line string) (a Action, rest string, ok bool) {
	best := 0
	for _, x := range table {
		for _, n := range append([]string{x.Name}, x.Aliases...) {
			if r, hit := cut(line, n); hit && len(n) > best {
				a, rest, ok, best = x, r, true, len(n)
			}
		}
	}
	return a, rest, ok
}

func cut(line, name string) (string, bool) {
	if strings.EqualFold(line, name) {
		return "", true
	}
	if len(line) > len(name) && strings.EqualFold(line[:len(name)], name) && line[len(name)] == ' ' {
		return strings.TrimSpace(line[len(name):]), true
	}
	return "", false
}

// ByKey returns the action of a key on a page.
func ByKey(table []Action, scope, key string) (Action, bool) {
	for _, a := range table {
		if a.Scope == scope && a.Key == key {
			return a, true
		}
	}
	return Action{}, false
}
