package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/control"
	"unibus/core/nodetest"
)

// recordsOf are the newest records of a key, the oldest first, once every one has an outcome.
func recordsOf(t *testing.T, cl *admin.Client, key string, want int) (out []admin.AuditRecord) {
	t.Helper()
	nodetest.Wait(t, 40*time.Second, func() error {
		page, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 100})
		if err != nil {
			return err
		}
		out = slices.DeleteFunc(page.Records, func(r admin.AuditRecord) bool { return r.Key != key })
		slices.Reverse(out)
		if len(out) != want || slices.ContainsFunc(out, func(r admin.AuditRecord) bool { return r.Outcome == "unknown" }) {
			return fmt.Errorf("%d records, want %d: %+v", len(out), want, out)
		}
		return nil
	})
	return out
}

// TestUserAdminsAreInTheAudit: a user-admin's change of users, or of a room and its
// members, has an intent and an outcome under the user-admin's own key. Other users'
// actions have none, and neither have refused ones.
func TestUserAdminsAreInTheAudit(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	c.WaitServing(core.BackendSQLite, 0)
	ctx := t.Context()
	all := people(t, c, 3)
	chief, ann, bob := all[0], all[1], all[2]
	fine[core.Room](t)(ann.CreateRoom(ctx, control.CreateRequest{ID: "plans"}))
	ann.over(t, 10*time.Second)
	ann = arrive(t, c, 0, ann.Identity)
	fine[core.Member](t)(ann.Invite(ctx, "plans", bob.user(), "", nil))
	fine[core.Member](t)(bob.Accept(ctx, "plans"))

	name := `Mia "M" = x`
	added, end := nodetest.Identity(t).Public(), core.MillisOf(time.Now().Add(time.Hour).Truncate(time.Second))
	fine[core.User](t)(chief.AddUser(ctx, control.AddUserRequest{User: added, Name: &name, Expires: end}))
	_, err := chief.AddUser(ctx, control.AddUserRequest{User: added, Role: core.RoleAdmin})
	wantKind(t, "a user who is there", err, core.KindExists)
	_, err = ann.RevokeUser(ctx, bob.user())
	wantKind(t, "a user without the role", err, core.KindRefused)
	fine[core.Member](t)(chief.SetRole(ctx, "plans", bob.user(), core.MemberAdmin))
	fine[core.Room](t)(chief.RenameRoom(ctx, "plans", "Plans"))
	fine[core.Member](t)(chief.Remove(ctx, "plans", bob.user()))
	fine[core.Member](t)(chief.Invite(ctx, "plans", bob.user(), "", nil))
	fine[core.Room](t)(chief.ArchiveRoom(ctx, "plans"))
	fine[control.Revoked](t)(chief.RevokeUser(ctx, bob.user()))
	fine[core.User](t)(chief.ActivateUser(ctx, bob.user()))

	op := c.Client(0, c.Admin)
	var got []string
	for _, r := range recordsOf(t, op, chief.Public(), 9) {
		if r.Role != "user-admin" || r.Node != "n1" || r.Text == "" != (r.Outcome == "ok") {
			t.Errorf("%+v", r)
		}
		got = append(got, strings.NewReplacer(added, "NEW", bob.Public(), "BOB").Replace(r.Verb+" "+r.Args+" "+r.Outcome))
	}
	for i, want := range []string{
		`user-add id=NEW name="Mia \"M\" = x" expires=` + end.Time().Format(time.RFC3339) + " ok",
		"user-add id=NEW role=admin exists",
		"member-role room=plans user=BOB role=admin ok",
		"room-rename room=plans name=Plans ok",
		"member-remove room=plans user=BOB ok",
		"member-invite room=plans user=BOB ok",
		"room-archive room=plans ok",
		"user-revoke id=BOB ok",
		"user-activate id=BOB ok",
	} {
		if got[i] != want {
			t.Errorf("record %d: %s, want %s", i, got[i], want)
		}
	}
	for _, p := range []person{ann, bob} {
		recordsOf(t, op, p.Public(), 0)
	}
}

// TestUserAdminsWithoutQuorum: without its peers a node can record no intent in the cluster.
// A user-admin changes nothing there, but can still revoke, and the cluster's audit has the
// revocation later.
func TestUserAdminsWithoutQuorum(t *testing.T) {
	t.Parallel()
	id, victim := nodetest.Identity(t), core.UserID(nodetest.Identity(t).Public())
	name := "Cho"
	c := nodetest.Start(t, nodetest.Config{Nodes: 2, Seed: core.Snapshot{Users: []core.User{
		{ID: core.UserID(id.Public()), Name: &name, Role: core.RoleAdmin, Status: core.UserActive},
		{ID: victim, Role: core.RoleMember, Status: core.UserActive},
	}}})
	op := ready(t, c, 0)
	c.WaitServing(core.BackendSQLite, 0)
	ctx := t.Context()
	chief := arrive(t, c, 0, id)
	fine[control.Profile](t)(chief.User(ctx, victim)) // the cluster has proven its key
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	added := nodetest.Identity(t).Public()
	_, err := chief.AddUser(ctx, control.AddUserRequest{User: added})
	if core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "nothing was done") {
		t.Fatalf("a change without an audit: %v", err)
	}
	_, err = chief.User(ctx, core.UserID(added))
	wantKind(t, "a user who was not added", err, core.KindNotFound)
	fine[control.Revoked](t)(chief.RevokeUser(ctx, victim))
	file := fine[audit.FileRecords](t)(audit.ReadFiles(c.Configs[0].Data + "/audit.jsonl")) // if the cluster never came back
	if d := admin.Denials(file.Records, 0); len(d) != 1 || d[0].User != victim || d[0].Uncertain {
		t.Errorf("the node's file denies %+v", d)
	}
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	r := recordsOf(t, op, id.Public(), 1)[0]
	if r.Verb != "user-revoke" || r.Args != "id="+string(victim) || r.Outcome != "ok" || r.Name != "Cho" || r.Role != "user-admin" {
		t.Errorf("%+v", r)
	}
}
