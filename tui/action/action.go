package action

import (
	"context"
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

// Client is the part of admin.Client that actions call.
type Client interface {
	UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error)
	RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error)
	UserAdd(ctx context.Context, u core.User) (core.User, error)
	Revoke(ctx context.Context, id string) (admin.Revoked, error)
	UserActivate(ctx context.Context, id string) (core.User, error)
	UserExtend(ctx context.Context, id string, expires core.Millis) (core.User, error)
	UserReplace(ctx context.Context, id, to string) (admin.Replaced, error)
	SessionEnd(ctx context.Context, id string) (admin.SessionsEnded, error)
	SessionEndAll(ctx context.Context, user string) (admin.SessionsEnded, error)
	RoomRekey(ctx context.Context, r admin.RekeyRequest) (admin.Asked, error)
	BucketScale(ctx context.Context, replicas int) (admin.Done, error)
	BackupNow(ctx context.Context) (admin.BackupRequested, error)
	StepDown(ctx context.Context, group, to string) (admin.Done, error)
	NodeAdd(ctx context.Context, name string) (admin.NodeChanged, error)
	NodeRemove(ctx context.Context, name string) (admin.NodeChanged, error)
	NodeFence(ctx context.Context, name string) (admin.NodeChanged, error)
	NodeRescue(ctx context.Context, quorum int) (admin.Rescued, error)
	NodeDrain(ctx context.Context, name string, last time.Duration) (admin.NodeDrained, error)
	NodeResume(ctx context.Context, name string) (admin.NodeDrained, error)
	MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error)
	MigratePause(ctx context.Context, node string) (migrate.Status, error)
	MigrateResume(ctx context.Context, node string) (migrate.Status, error)
	MigrateAbort(ctx context.Context, node string) (migrate.Status, error)
	MigrateCutover(ctx context.Context, node string) (migrate.Status, error)
	MigrateLimit(ctx context.Context, node string, rate int) (migrate.Status, error)
	MigrateRollback(ctx context.Context, node string) (migrate.Status, error)
	MigrateFinish(ctx context.Context, node string) (migrate.Status, error)
}

// Confirmation is what an operator must do before an action runs.
type Confirmation int

// The confirmations, from weakest to strongest.
const (
	NoConfirmation  Confirmation = iota // it changes nothing that matters, or can be undone
	YesNo                               // a dialog with Cancel focused
	TypeObjectName                      // the object's name must be typed
	TypeClusterName                     // the cluster's name must be typed
)

// The kinds of objects that actions apply to.
const (
	KindUser   = "user"
	KindRoom   = "room"
	KindBucket = "bucket"
	KindNode   = "node"
)

// PageName names a page of the console.
type PageName string

// The pages, in the order of their digits.
const (
	PageOverview PageName = "overview"
	PageNodes    PageName = "nodes"
	PageBuckets  PageName = "buckets"
	PageUsers    PageName = "users"
	PageRooms    PageName = "rooms"
	PageMigrate  PageName = "migrate"
	PageEvents   PageName = "events"
	PageRollout  PageName = "rollout"
	PageAudit    PageName = "audit"
)

// Selection is the set of objects that an action applies to.
type Selection struct {
	Kind string   // KindUser and so on; "" for nothing
	IDs  []string // in full
	Room string   // of members: the room that lists them
}

// only returns the only id, "" if there are none or several.
func (s Selection) only(kind string) string {
	if s.Kind != kind || len(s.IDs) != 1 {
		return ""
	}
	return s.IDs[0]
}

// Input is what an action may read.
type Input struct {
	Snapshot  *feed.Snapshot
	Selected  Selection
	Users     []core.User // that were looked up for a typed command: the snapshot may lack them
	Preset    []string    // the first values of the dialog, in place of its own
	ReadOnly  bool
	Remote    bool   // another machine shows the console, over SSH
	Flags     string // appended to the command lines: --server … --identity …
	ReportDir string // reports are saved here
	NoFiles   bool   // the console writes none, because it runs on another machine
	Now       time.Time
}

// Question is the content of an action's dialog.
type Question struct {
	Title           string
	Lines           []string
	Fields          []widget.Field
	ConfirmLabel    string // the button's text
	TypedWord       string // what must be typed for TypeObjectName
	AlternativeWord string // accepted instead of TypedWord, "" for nothing

	Validate func(values []string) error // checks the fields together; nil: no check
}

// Action is one operation of an operator.
type Action struct {
	Name           string // the command after :
	Aliases        []string
	Key            string
	Hint           string   // what Key does, in the footer; "": the last word of Name
	IsRare         bool     // a narrow window drops its hint first
	Scope          PageName // the page on which Key works
	ArgumentKind   string   // KindUser and so on; "" for no argument
	ChangesNothing bool     // in the cluster: allowed for viewers and read-only consoles
	Confirmation   Confirmation
	NeedsNoQuorum  func(s Input) bool                                                            // true if it works while no majority answers; nil: it does not
	Help           string                                                                        // a short sentence without the full stop
	Undo           func(d Done) (Undo, bool)                                                     // nil: nothing takes it back
	IsOver         func(s Input) bool                                                            // nil, or true once what its result says is no longer so
	Unavailable    func(s Input) string                                                          // the reason, "" if the action is available
	Question       func(s Input) Question                                                        // nil with NoConfirmation
	FirstQuestion  func(s Input) (Question, bool)                                                // with NoConfirmation: what must be chosen first; nil or false: nothing
	Command        func(s Input, values []string) string                                         // the equivalent command line, without the flags
	Run            func(ctx context.Context, c Client, s Input, values []string) (string, error) // the result is a sentence; further lines are paragraphs
}

// Table returns every action, in the order of the help.
func Table() []Action {
	var t []Action
	t = append(t, userActions()...)
	t = append(t, roomActions()...)
	t = append(t, nodeActions()...)
	t = append(t, nodeFence(), nodeRescue())
	t = append(t, bucketActions()...)
	t = append(t, backupNow())
	return append(t, migrationActions()...)
}

// UnavailableReason says why an action cannot run now, "" if it can.
func (a Action) UnavailableReason(s Input) string {
	if !a.ChangesNothing {
		if s.Remote {
			return "the console over SSH only reads: run the command where your key is"
		}
		if s.ReadOnly {
			return "this console was started with --read-only"
		}
		op := s.Snapshot.Status.Value.Operator
		switch {
		case !s.Snapshot.Status.Known():
			return "no node has answered yet"
		case op.Role != core.OperatorAdmin:
			return op.Name + " is a " + string(op.Role) + ": only an admin may do this"
		case a.NeedsNoQuorum == nil || !a.NeedsNoQuorum(s):
			if reason := quorumMissing(s); reason != "" {
				return reason
			}
		}
	}
	if a.Unavailable == nil {
		return ""
	}
	return a.Unavailable(s)
}

// quorumMissing says that nothing can be written now, "" if it can. A request without a quorum
// would be refused after the operator has typed a name.
func quorumMissing(s Input) string {
	v := s.Snapshot.Status.Value
	if !v.Clustered || v.Meta.Online >= v.Meta.Needed {
		return ""
	}
	return fmt.Sprintf("there is no quorum: %d of %d nodes answer and %d are needed, so that nothing can be written", v.Meta.Online, v.Meta.Size, v.Meta.Needed)
}

// always is the NeedsNoQuorum of what restores a quorum or takes danger away.
func always(Input) bool { return true }

// onSQLite is that of what the node that serves SQLite does by itself.
func onSQLite(s Input) bool { return len(Sources(s.Snapshot)) > 0 }

// NeedsSelection is true if reason, from UnavailableReason, is that nothing is
// selected.
func (a Action) NeedsSelection(reason string) bool {
	return a.ArgumentKind != "" && reason == nothingSelected(a.ArgumentKind)
}

func nothingSelected(kind string) string { return "no " + kind + " is selected" }

// CommandLine is the equivalent command line with its flags. For several users it
// is a loop, because the command takes one.
func (a Action) CommandLine(s Input, values []string) string {
	line := s.WithFlags(a.Command(s, values))
	if a.ArgumentKind == KindUser {
		return s.forEachUser(line)
	}
	return line
}

// forEachUser makes a command about $k a loop over the selected users.
func (s Input) forEachUser(line string) string {
	if len(s.Selected.IDs) < 2 {
		return line
	}
	return "for k in " + quotedIDs(s) + "; do " + line + "; done"
}

// WithFlags appends the flags of the connection to a command.
func (s Input) WithFlags(line string) string {
	if line == "" || s.Flags == "" {
		return line
	}
	return line + " " + s.Flags
}

// Dialog returns the dialog of an action, with the fields that its Confirmation
// requires.
func (a Action) Dialog(s Input) widget.DialogSpec {
	q, _ := a.dialogQuestion(s)
	spec := widget.DialogSpec{Title: q.Title, Lines: q.Lines, Fields: q.Fields, ConfirmLabel: q.ConfirmLabel, Dangerous: a.Confirmation >= TypeObjectName}
	for i := range min(len(s.Preset), len(spec.Fields)) {
		spec.Fields[i].Value = s.Preset[i]
	}
	fieldCount := len(q.Fields) // the confirmation field is not part of the command
	spec.Command = func(values []string) string { return a.CommandLine(s, values[:fieldCount]) }
	if q.Validate != nil {
		spec.Validate = func(values []string) error { return q.Validate(values[:fieldCount]) }
	}
	switch a.Confirmation {
	case TypeObjectName:
		spec.Fields = append(spec.Fields, confirmationField("Type "+q.TypedWord+":", q.TypedWord, q.AlternativeWord))
	case TypeClusterName:
		spec.Fields = append(spec.Fields, confirmationField("Type the cluster's name:", s.Snapshot.Status.Value.Cluster, ""))
	}
	return spec
}

// NeedsDialog is true if the operator must answer something before the action
// runs.
func (a Action) NeedsDialog(s Input) bool {
	_, ok := a.dialogQuestion(s)
	return ok
}

func (a Action) dialogQuestion(s Input) (Question, bool) {
	switch {
	case a.Question != nil:
		return a.Question(s), true
	case a.FirstQuestion != nil:
		return a.FirstQuestion(s)
	}
	return Question{}, false
}

func confirmationField(label, word, or string) widget.Field {
	return widget.Field{Label: label, Check: func(v string) error {
		if v != "" && (v == word || v == or) {
			return nil
		}
		return core.Errorf(core.KindInvalid, "That is not %s. Esc cancels.", word)
	}}
}

// Find returns the action that a typed line names, and the rest of the line. The
// longest name or alias wins.
func Find(table []Action, line string) (a Action, rest string, ok bool) {
	best := 0
	for _, x := range table {
		for _, n := range append([]string{x.Name}, x.Aliases...) {
			if r, hit := cutName(line, n); hit && len(n) > best {
				a, rest, ok, best = x, r, true, len(n)
			}
		}
	}
	return a, rest, ok
}

func cutName(line, name string) (string, bool) {
	if strings.EqualFold(line, name) {
		return "", true
	}
	if len(line) > len(name) && strings.EqualFold(line[:len(name)], name) && line[len(name)] == ' ' {
		return strings.TrimSpace(line[len(name):]), true
	}
	return "", false
}

// ByKey returns the action of a key on a page.
func ByKey(table []Action, scope PageName, key string) (Action, bool) {
	for _, a := range table {
		if a.Scope == scope && a.Key == key {
			return a, true
		}
	}
	return Action{}, false
}
