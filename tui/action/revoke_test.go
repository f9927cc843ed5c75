package action_test

import (
	"context"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/tuitest"
)

// fakeRevoker answers with a fixed result per user.
type fakeRevoker struct {
	*tuitest.FakeClient
	answers map[string]admin.Revoked
}

func (r fakeRevoker) Revoke(_ context.Context, id string) (admin.Revoked, error) {
	a, ok := r.answers[id]
	if !ok {
		return a, core.Errorf(core.KindUnavailable, "no answer in time")
	}
	return a, nil
}

func newEnded(n int, at core.Millis) admin.Ended { return admin.Ended{Ended: n, At: at} }

func TestRevokeSumsUpAllNodes(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	one, two := state.Users[1], state.Users[2]
	one.Updated, two.Updated = 1000, 2000
	none := map[string]admin.Ended{"n1": {}, "n2": {}}
	many := []core.RoomID{"r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"}
	for _, c := range []struct {
		name      string
		first     admin.Revoked
		second    *admin.Revoked
		has, lack []string
	}{
		{
			name: "calm", first: admin.Revoked{User: one, Nodes: map[string]admin.Ended{"n1": newEnded(1, 1007), "n2": {}}},
			has: []string{"bruno-00 is revoked; n1: 1 session ended in 7 ms, n2: no session"}, lack: []string{"\n", "new key"},
		},
		{
			name: "clocks that disagree", first: admin.Revoked{User: one, Nodes: map[string]admin.Ended{"n1": newEnded(2, 900), "n2": newEnded(1, 99_000)}},
			has: []string{"n1: 2 sessions ended", "n2: 1 session ended"}, lack: []string{"ms"},
		},
		{
			name: "the slowest counts", first: admin.Revoked{User: one, Nodes: map[string]admin.Ended{"n1": newEnded(2, 1004)}, Rekey: []core.RoomID{"r2"}},
			second: &admin.Revoked{User: two, Nodes: map[string]admin.Ended{"n1": newEnded(1, 2012)}, Rekey: []core.RoomID{"r1", "r2"}},
			has:    []string{"2 users are revoked\n", "n1: 3 sessions ended in 12 ms", "2 encrypted rooms need a new key, because these users can read the old one: r1, r2"}, lack: []string{"more"},
		},
		{
			name: "silent", first: admin.Revoked{User: one, Nodes: map[string]admin.Ended{"n1": newEnded(1, 1001), "n2": {Unknown: true}}},
			second: &admin.Revoked{User: two, Nodes: none},
			has:    []string{"n1: 1 session ended", "n2: unknown, it did not answer. Sessions may still be open there.", "for k in " + string(one.ID) + " " + string(two.ID) + "; do unibusd user revoke $k --server x; done"}, lack: []string{"n2: no session"},
		},
		{
			name: "many rooms", first: admin.Revoked{User: one, Nodes: none, Rekey: many},
			has: []string{"8 encrypted rooms need a new key, because this user", "r5, r6 and 2 more\nTo list all: unibusd room list --server x"}, lack: []string{"r7"},
		},
		{
			name: "rooms not known", first: admin.Revoked{User: one, Nodes: none, Note: "which rooms need a new key is not known: no quorum"},
			has: []string{"\nwhich rooms need a new key is not known"},
		},
	} {
		r := fakeRevoker{answers: map[string]admin.Revoked{string(one.ID): c.first}}
		ids := []string{string(one.ID)}
		if c.second != nil {
			r.answers[string(two.ID)], ids = *c.second, append(ids, string(two.ID))
		}
		text, err := findAction(t, "user revoke").Run(context.Background(), r, newState(state, ids...), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, x := range c.has {
			if !strings.Contains(text, x) {
				t.Errorf("%s lacks %q:\n%s", c.name, x, text)
			}
		}
		for _, x := range c.lack {
			if strings.Contains(text, x) {
				t.Errorf("%s has %q:\n%s", c.name, x, text)
			}
		}
	}
}

// TestBulkRevokeContinuesWhereItStopped: an error keeps the report of what was
// done, and a retry changes only the users that are left.
func TestBulkRevokeContinuesWhereItStopped(t *testing.T) {
	t.Parallel()
	state := tuitest.Healthy()
	ids := []string{string(state.Users[1].ID), string(state.Users[2].ID), string(state.Users[7].ID)}
	away := admin.Revoked{User: state.Users[1], Nodes: map[string]admin.Ended{"n1": {}, "n3": {Unknown: true}}, Rekey: []core.RoomID{"r1"}}
	r := fakeRevoker{answers: map[string]admin.Revoked{ids[0]: away, ids[1]: away}}
	revoke := findAction(t, "user revoke")
	text, err := revoke.Run(context.Background(), r, newState(state, ids...), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "2 of 3 are revoked; then ") {
		t.Errorf("error %v", err)
	}
	for _, x := range []string{"2 users are revoked\n", "n1: no session", "n3: unknown", "1 encrypted room needs a new key"} {
		if !strings.Contains(text, x) {
			t.Errorf("lacks %q:\n%s", x, text)
		}
	}

	state.Users[1].Status, state.Users[2].Status = core.UserRevoked, core.UserRevoked
	left := fakeRevoker{answers: map[string]admin.Revoked{ids[2]: {User: state.Users[7], Nodes: map[string]admin.Ended{"n1": {}}}}}
	if text, err = revoke.Run(context.Background(), left, newState(state, ids...), nil); err != nil || text != "hana-00 is revoked, 2 were before; n1: no session" {
		t.Errorf("again: %q, %v", text, err)
	}
	if ask := revoke.Dialog(newState(state, ids...)); !strings.Contains(strings.Join(ask.Lines, "\n"), "2 of them are already revoked") {
		t.Errorf("the question says %q", ask.Lines)
	}
	if text, err = revoke.Run(context.Background(), fakeRevoker{}, newState(state, ids...), nil); text != "" || !strings.HasPrefix(err.Error(), "2 of 3 are revoked; then ") {
		t.Errorf("nobody answers: %q, %v", text, err)
	}
}

func TestUserAddQuotesForTheShell(t *testing.T) {
	t.Parallel()
	id := string(tuitest.Healthy().Users[1].ID)
	for name, want := range map[string]string{
		"":            "unibusd user add " + id + " --role member --server x",
		"ana":         "unibusd user add " + id + " --name ana --role member --server x",
		"$(rm) it's":  "unibusd user add " + id + ` --name '$(rm) it'\''s' --role member --server x`,
		"日本語":         "unibusd user add " + id + " --name '日本語' --role member --server x",
		"two\tblanks": "unibusd user add " + id + " --name 'two\tblanks' --role member --server x",
	} {
		if got := findAction(t, "user add").CommandLine(newState(tuitest.Healthy()), []string{id, name, "member", "never"}); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
