package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestUserAdminsAreAudited: every act that is let through because of that role is between its
// intent and its outcome. Acts of others, and refused requests, leave no record.
func TestUserAdminsAreAudited(t *testing.T) {
	t.Parallel()
	for m, r := range Rules() {
		if audited := r.AuditedAs != ""; audited != (r.Acts && r.UserAdminAllowed) {
			t.Errorf("%s: a user-admin may do it %v, and it is recorded %v", m, r.Acts && r.UserAdminAllowed, audited)
		}
		if r.WorksWithoutQuorum && m != methodUserRevoke {
			t.Errorf("%s is done without a quorum", m)
		}
	}
	w := newWorld(t)
	room := w.room(t, true)
	w.must(t, w.owner, methodRemove, memberRequest{room, string(w.member)})
	_, err := w.do(w.owner, methodUserRevoke, userRequest{string(w.member)})
	wantKind(t, "a user without the role", err, core.KindRefused)
	_, err = w.do(w.admin, methodInvite, inviteRequest{Room: room, User: string(w.other)})
	wantKind(t, "an encrypted room", err, core.KindRefused)
	if d := cmp.Diff([]string(nil), w.audit.lines); d != "" {
		t.Errorf("recorded (- expected, + found):\n%s", d)
	}

	onWrite := func(_, key string) error { w.audit.add("write %s", key); return nil }
	w.onWrite.Store(&onWrite)
	w.must(t, w.admin, methodUserRevoke, userRequest{string(w.member)})
	none := strangerID(t)
	_, err = w.do(w.admin, methodUserActivate, userRequest{string(none)})
	wantKind(t, "nobody", err, core.KindNotFound)
	want := []string{
		fmt.Sprintf("intent %s user-revoke id=%s true", w.admin, w.member), "write " + string(w.member), "outcome <nil>",
		fmt.Sprintf("intent %s user-activate id=%s false", w.admin, none), "outcome " + err.Error(),
	}
	if d := cmp.Diff(want, w.audit.lines); d != "" {
		t.Errorf("the order (- expected, + found):\n%s", d)
	}
}

// TestNoActWithoutIntent: a user-admin whose intent cannot be recorded changes nothing.
func TestNoActWithoutIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.audit.fails = core.Errorf(core.KindUnavailable, "nothing was done")
	u := storetest.NewUser(t, "x")
	_, err := w.do(w.admin, methodUserAdd, AddUserRequest{User: string(u.ID)})
	wantKind(t, "without a record", err, core.KindUnavailable)
	_, err = w.store.User(t.Context(), u.ID)
	wantKind(t, "the user", err, core.KindNotFound)
}

// TestAuditArgs: the audit shows what the request does, and no more.
func TestAuditArgs(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"v":1,"req":{"user":"UB"}}`: "id=UB",
		`{"v":1,"req":{"user":"UB","name":"a b","role":"admin","expires":1801440000000}}`: `id=UB name="a b" role=admin expires=2027-02-01T00:00:00Z`,
		`{"v":1,"req":{"user":"UB","name":"id=UC"}}`:                                      `id=UB name="id=UC"`,
		`{"v":1,"req":{"room":"r","user":"UB","proof":"c2Vj","role":"owner"}}`:            "room=r user=UB role=owner",
		`{"v":1,"req":{"room":"r","name":"n"}}`:                                           "room=r name=n",
		`{"v":1,"req":{"room":"r","user":"UB"},"req":{"user":"UC"}}`:                      "id=UC", // what decode takes
		`{"v":1,"req":{"user":"UB","name":"a","name":null}}`:                              "id=UB",
		`{"v":1,"req":{"user":7}}`:                                                        "a request that cannot be read",
		`{`:                                                                               "a request that cannot be read",
	} {
		if got := auditArgs([]byte(body)); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// TestUserAdminsCannotFloodTheAudit: all of them together make no more records than one
// operator may send requests, and one alone leaves half of that to the others.
func TestUserAdminsCannotFloodTheAudit(t *testing.T) {
	t.Parallel()
	var l recordLimit
	now := time.Unix(1000, 0)
	flood := func(user core.UserID) (n int, err error) {
		for err == nil && n <= maxRecords {
			if err = l.count(now, user); err == nil {
				n++
			}
		}
		return n, err
	}
	for i, want := range []struct {
		n    int
		kind core.Kind
	}{{maxRecordsOf, core.KindRefused}, {maxRecords - maxRecordsOf, core.KindRefused}, {0, core.KindUnavailable}} {
		n, err := flood(core.UserID(fmt.Sprint("U", i)))
		if n != want.n || core.KindOf(err) != want.kind || core.AsError(err).Next == "" {
			t.Errorf("user-admin %d: %d acts, then %v", i, n, err)
		}
	}
	now = now.Add(recordPeriod)
	if err := l.count(now, "U0"); err != nil {
		t.Errorf("later: %v", err)
	}
	w := newWorld(t)
	for i := range maxRecords {
		_ = w.records.count(w.cfg.Now().Time(), core.UserID(fmt.Sprint("U", i%4)))
	}
	_, err := w.do(w.admin, methodUserRevoke, userRequest{string(w.member)})
	wantKind(t, "one too many", err, core.KindUnavailable)
	w.must(t, w.owner, methodRoomCreate, CreateRequest{ID: string(NewRoomID())}) // users are not bounded by it
	if len(w.audit.lines) != 0 {
		t.Errorf("recorded: %q", w.audit.lines)
	}
}
