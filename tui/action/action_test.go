package action_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/tuitest"
	"unibus/tui/widget"
)

func newState(state tuitest.ClusterState, ids ...string) action.Input {
	s, known := &feed.Snapshot{}, feed.Freshness{ReceivedAt: tuitest.Now}
	s.Status = feed.Topic[admin.Status]{Value: state.Status, Freshness: known}
	s.Migration = feed.Topic[migrate.Status]{Value: state.Migration, Freshness: known}
	s.Users = feed.Topic[core.UserPage]{Value: core.UserPage{Users: state.Users}, Freshness: known}
	return action.Input{Snapshot: s, Selected: action.Selection{Kind: action.KindUser, IDs: ids}, Flags: "--server x", Now: tuitest.Now}
}

func findAction(t *testing.T, name string) action.Action {
	t.Helper()
	a, rest, ok := action.Find(action.Table(), name)
	if !ok || rest != "" {
		t.Fatalf("no action %q", name)
	}
	return a
}

func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	names, keys := map[string]bool{}, map[string]bool{}
	for _, a := range action.Table() {
		for _, n := range append([]string{a.Name}, a.Aliases...) {
			if names[n] {
				t.Errorf("%q names two actions", n)
			}
			names[n] = true
		}
		if k := string(a.Scope) + " " + a.Key; keys[k] {
			t.Errorf("%q is the key of two actions", k)
		} else {
			keys[k] = true
		}
		if strings.Contains("123456789:/?qysSmMjkgG", a.Key) {
			t.Errorf("%s: the key %q means something else everywhere", a.Name, a.Key)
		}
		if a.Help == "" || a.Command == nil || a.Run == nil || (a.Question == nil) != (a.Confirmation == action.NoConfirmation) {
			t.Errorf("%s is incomplete", a.Name)
		}
	}
}

func TestOnlyAdminsAct(t *testing.T) {
	t.Parallel()
	for _, a := range action.Table() {
		state := tuitest.Verified()
		state.Status.Operator.Role = core.OperatorViewer
		s := newState(state, string(state.Users[0].ID))
		if why := a.UnavailableReason(s); (why == "") != a.ChangesNothing {
			t.Errorf("%s for a viewer: %q", a.Name, why)
		}
		s = newState(tuitest.Verified(), string(state.Users[0].ID))
		s.ReadOnly = true
		if why := a.UnavailableReason(s); (why == "") != a.ChangesNothing {
			t.Errorf("%s read-only: %q", a.Name, why)
		}
		if why := a.UnavailableReason(action.Input{Snapshot: &feed.Snapshot{}}); why == "" {
			t.Errorf("%s is available before the first answer", a.Name)
		}
	}
}

func TestMigrationActionsFollowTheState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		world tuitest.ClusterState
		can   string
	}{
		{"legacy", tuitest.OnSQLite(), "start check"},
		{"moving", tuitest.Copying(), "pause limit abort report"},
		{"paused", tuitest.CopyPaused(), "check resume limit abort report"},
		{"verified", tuitest.Verified(), "start check abort cutover report"},
		{"unequal", tuitest.ReplicaDiffers(), "start check resume abort report"},
		{"fencing", tuitest.Fencing(), "abort report"},
		{"cutting over", tuitest.CuttingOver(), "report"},
		{"moved", tuitest.AfterCutover(), "rollback finish report"},
		{"rolling back", tuitest.RollingBack(), "abort report"},
		{"rolled back", tuitest.RolledBack(), "start check report"},
		{"aborted", tuitest.Aborted(), "start check report"},
		{"dry run", tuitest.DryRun(), "start check report"},
		{"orphaned", tuitest.MigrationNodeDown(), "report"},
		{"several files", tuitest.SeveralFiles(), "start check"},
		{"healthy", tuitest.Healthy(), ""},
	} {
		var can []string
		for _, a := range action.Table() {
			if a.Scope == "migrate" && a.UnavailableReason(newState(c.world)) == "" {
				can = append(can, strings.TrimPrefix(a.Name, "migrate "))
			}
		}
		if got := strings.Join(can, " "); got != c.can {
			t.Errorf("%s: available %q, want %q", c.name, got, c.can)
		}
	}
}

func TestCommandLines(t *testing.T) {
	t.Parallel()
	id := string(tuitest.Healthy().Users[1].ID)
	for name, want := range map[string]string{
		"user revoke":      "unibusd user revoke " + id + " --server x",
		"migrate start":    "unibusd migrate-to-kv --db /var/lib/unibus/unibus.db --replicas 3 --server x",
		"migrate cutover":  "unibusd migration cutover --server x",
		"migrate rollback": "unibusd migration rollback --server x",
		"migrate limit":    "unibusd migration limit --rate 0 --server x",
		"bucket scale":     "unibusd bucket scale --replicas 3 --server x",
		"backup now":       "unibusd backup now --server x",
		"meta step-down":   "unibusd step-down meta --server x",
		"user add":         "unibusd user add NKEY --role member --server x",
	} {
		ask := findAction(t, name).Dialog(newState(tuitest.OnSQLite(), id))
		if got := ask.Command(widget.NewDialog(ask).Values()); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCommandLineNamesTheNodeAmongSeveralFiles(t *testing.T) {
	t.Parallel()
	s := newState(tuitest.SeveralFiles())
	for name, want := range map[string]string{
		"migrate start": "unibusd migrate-to-kv --db /var/lib/unibus/unibus.db --node n2 --replicas 3 --server x",
		"migrate check": "unibusd migrate-to-kv --db /var/lib/unibus/unibus.db --node n2 --dry-run --server x",
	} {
		if got := findAction(t, name).CommandLine(s, []string{"n2", "3"}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	state := tuitest.SeveralFiles() // after a rollback only n2's file counts
	state.Status.Authority = &core.Authority{Backend: core.BackendSQLite, Node: "n2"}
	f := tuitest.NewFakeClient(state)
	check := findAction(t, "migrate check")
	if check.NeedsDialog(newState(state)) {
		t.Error("asks for a node though the authority names one")
	}
	if _, err := check.Run(context.Background(), f, newState(state), nil); err != nil {
		t.Error(err)
	}
	if got := strings.Join(f.Calls(), " "); got != "migrate-start n2 /var/lib/unibus/unibus.db 0 dry-run" {
		t.Errorf("calls %q", got)
	}
	if _, err := check.Run(context.Background(), f, s, nil); core.KindOf(err) != core.KindInvalid {
		t.Errorf("the console picks a node: %v", err)
	}
}

func TestConfirmationDecidesWhatIsTyped(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	revoke := findAction(t, "revoke")
	check := func(ids []string, right string) {
		t.Helper()
		fs := revoke.Dialog(newState(state, ids...)).Fields
		last := fs[len(fs)-1]
		if last.Check(right) != nil || last.Check("") == nil || last.Check("x"+right) == nil {
			t.Errorf("revoking %d users does not require %q", len(ids), right)
		}
	}
	check([]string{string(state.Users[1].ID)}, "bruno-00")
	check([]string{string(state.Users[6].ID)}, state.Users[6].ID.Short()) // no name
	id := string(state.Users[5].ID)                                       // a name that cannot be typed
	check([]string{id}, id[len(id)-4:])
	id = string(state.Users[3].ID) // few keyboards can type this name
	check([]string{id}, id[len(id)-4:])
	check([]string{id}, "日本語の名前")
	id = string(state.Users[1].ID) // the nkey's end is always accepted
	check([]string{id}, id[len(id)-4:])
	check([]string{string(state.Users[1].ID), string(state.Users[2].ID)}, "2 users")
}

func TestReplicasAreBoundedByTheNodes(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	for i := range state.Status.Buckets {
		state.Status.Buckets[i].Wanted = 1
	}
	f := findAction(t, "scale").Dialog(newState(state)).Fields[0]
	for v, ok := range map[string]bool{"1": true, "3": true, "4": false, "0": false, "-1": false, "three": false, "": false} {
		if got := f.Check(v) == nil; got != ok {
			t.Errorf("%q: %v, want %v", v, got, ok)
		}
	}
}

func TestReplicasAreChanged(t *testing.T) {
	t.Parallel()
	wanted := func(state tuitest.ClusterState, each ...int) tuitest.ClusterState {
		for i := range state.Status.Buckets {
			state.Status.Buckets[i].Wanted = each[i%len(each)]
		}
		return state
	}
	scale := findAction(t, "scale")
	f := scale.Dialog(newState(wanted(tuitest.Healthy(), 1, 2))).Fields[0]
	if f.Value != "2" || f.Check("2") != nil || f.Check("3") != nil || f.Check("4") == nil || f.Check("0") == nil || f.Check("x") == nil {
		t.Errorf("with 1 and 2 replicas: value %q, 2: %v, 3: %v", f.Value, f.Check("2"), f.Check("3"))
	}
	if err := f.Check("1"); err == nil || !strings.Contains(err.Error(), "the configuration of n1, n2 and n3 asks for more") {
		t.Errorf("1: %v", err)
	}
	headless := wanted(tuitest.Healthy(), 1)
	headless.Status.Buckets[2].Leader = ""
	none := tuitest.Healthy()
	none.Status.Buckets = nil
	for _, c := range []struct {
		world tuitest.ClusterState
		why   string
	}{
		{wanted(tuitest.Healthy(), 1), ""},
		{wanted(tuitest.Healthy(), 3, 1), ""},
		{tuitest.Healthy(), ""},
		{wanted(tuitest.OnSQLite(), 1), "the control plane is not in KV; the migration raises the replicas"},
		{wanted(tuitest.NoQuorum(), 1), "there is no quorum: 1 of 3 nodes answer and 2 are needed, so that nothing can be written"},
		{headless, "UNIBUS_members has no leader"},
		{none, "there are no buckets yet"},
	} {
		if why := scale.UnavailableReason(newState(c.world)); why != c.why {
			t.Errorf("scale: %q, want %q", why, c.why)
		}
	}
}

func TestLongNameIsNotTyped(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	name := strings.Repeat("Bartholomew ", 20)
	state.Users[1].Name = &name
	id := string(state.Users[1].ID)
	ask := findAction(t, "revoke").Dialog(newState(state, id))
	if got, want := ask.Fields[0].Label, "Type "+id[len(id)-4:]+":"; got != want {
		t.Errorf("the field says %q, want %q", got, want)
	}
	if text := strings.Join(ask.Lines, "\n"); !strings.Contains(text, name) || !strings.Contains(text, id) {
		t.Errorf("the full name or the full nkey is missing:\n%s", text)
	}
}

func TestStepDownTakesOnlyCurrentReplicas(t *testing.T) {
	t.Parallel()
	s := newState(tuitest.Degraded())
	s.Selected = action.Selection{Kind: action.KindBucket, IDs: []string{"UNIBUS_users"}}
	f := findAction(t, "bucket step-down").Dialog(s).Fields[0]
	for v, ok := range map[string]bool{"": true, "n2": true, "n1": false, "n3": false} {
		if got := f.Check(v) == nil; got != ok {
			t.Errorf("to %q: %v, want %v", v, got, ok)
		}
	}
	if why := findAction(t, "meta step-down").UnavailableReason(newState(tuitest.NoQuorum())); why != "the meta group has no leader" {
		t.Errorf("without a leader: %q", why)
	}
}

func TestBulkRevokeStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	f := tuitest.NewFakeClient(state)
	gone := "UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := findAction(t, "user revoke").Run(ctx, f, newState(state, string(state.Users[1].ID), gone, string(state.Users[2].ID)), nil)
	if core.KindOf(err) != core.KindNotFound || !strings.HasPrefix(err.Error(), "1 of 3 are revoked; then UAAA…AAAA failed") {
		t.Errorf("error %v", err)
	}
	if n := len(f.Calls()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestFindTakesTheLongestName(t *testing.T) {
	t.Parallel()
	a, rest, ok := action.Find(action.Table(), "User Revoke  bruno-00")
	if !ok || a.Name != "user revoke" || rest != "bruno-00" {
		t.Errorf("%q %q %v", a.Name, rest, ok)
	}
	if _, _, ok := action.Find(action.Table(), "user revoked"); ok {
		t.Error("a part of a word names an action")
	}
}

// TestCommandOfSeveralUsersCanBeCopied: the shown command line changes each of
// the selected users, and only commands about users repeat.
func TestCommandOfSeveralUsersCanBeCopied(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	one, two := string(state.Users[1].ID), string(state.Users[2].ID)
	for name, want := range map[string]string{
		"user revoke":   "for k in " + one + " " + two + "; do unibusd user revoke $k --server x; done",
		"user activate": "for k in " + one + " " + two + "; do unibusd user activate $k --server x; done",
		"user add":      "unibusd user add NKEY --server x",
	} {
		if got := findAction(t, name).CommandLine(newState(state, one, two), []string{"", "", "", ""}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestInternalBucketsAreArguments: the page lists them, so a command may name
// them.
func TestInternalBucketsAreArguments(t *testing.T) {
	t.Parallel()
	s := newState(tuitest.Healthy())
	for _, arg := range []string{"UNIBUS_control", "control", "UNIBUS_users"} {
		sel, err := findAction(t, "bucket step-down").Resolve(s.Snapshot, arg, action.Selection{})
		if err != nil || len(sel.IDs) != 1 || !strings.HasSuffix(sel.IDs[0], strings.TrimPrefix(arg, "UNIBUS_")) {
			t.Errorf("%s: %v, %v", arg, sel, err)
		}
	}
}

// TestPausedMigrationIsNotStartedAgain: a start would drop what its dialog asks.
// A dry run is possible beside a paused migration.
func TestPausedMigrationIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	s := newState(tuitest.CopyPaused())
	if why := findAction(t, "migrate start").UnavailableReason(s); why != "it is paused: resume it, or abort it first" {
		t.Errorf("start: %q", why)
	}
	for _, name := range []string{"migrate check", "migrate resume", "migrate abort"} {
		if why := findAction(t, name).UnavailableReason(s); why != "" {
			t.Errorf("%s: %q", name, why)
		}
	}
}
