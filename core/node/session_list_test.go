package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestSessionsOfEveryNode: the list has the users of each node, page after page; one session
// ends by its id, a user's all by the key, and a session that is gone is said to be gone.
func TestSessionsOfEveryNode(t *testing.T) {
	t.Parallel()
	ana, ben := nodetest.Identity(t), nodetest.Identity(t)
	s := seed(ana, ben)
	name := "ana of \x1b[31mthe bus"
	s.Users[0].Name = &name
	c := nodetest.Start(t, nodetest.Config{Seed: s})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(1, c.Admin)
	began := core.MillisOf(time.Now()) - 1000
	var open []session
	for i := range 3 {
		open = append(open, connect(t, c, 0, ana))
		if i < 2 {
			open = append(open, connect(t, c, 0, ben))
		}
	}
	_ = open
	all := listed(t, cl, admin.SessionPageRequest{}, 5)
	checkListed(t, all, ana, began)
	for _, limit := range []int{1, 2, 3} { // pages that end anywhere
		var paged []string
		r := admin.SessionPageRequest{Limit: limit}
		for {
			p, err := cl.SessionPage(t.Context(), r)
			if err != nil || p.Total != 5 || len(p.Sessions) > limit {
				t.Fatalf("%+v, %v", p, err)
			}
			paged = append(paged, idsOf(p.Sessions)...)
			if r.After = p.Next; p.Next == "" {
				break
			}
		}
		if !slices.Equal(paged, idsOf(all)) {
			t.Errorf("pages of %d: %v, want %v", limit, paged, idsOf(all))
		}
	}
	mine := listed(t, cl, admin.SessionPageRequest{User: core.UserID(ana.Public()), Node: "n1"}, 3)
	endOneSession(t, cl, mine[0], open)
	if e, err := cl.SessionEndAll(t.Context(), ana.Public()); err != nil || e.Count() != 2 || e.Nodes["n1"].Ended != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	_, err := cl.SessionEndAll(t.Context(), ana.Public())
	wantError(t, err, core.KindNotFound, "has no open session")
	listed(t, cl, admin.SessionPageRequest{}, 2)
	checkSessionsAudited(t, cl)
}

// listed waits until a page has so many sessions.
func listed(t *testing.T, cl *admin.Client, r admin.SessionPageRequest, want int) (out []admin.Session) {
	t.Helper()
	nodetest.Wait(t, 20*time.Second, func() error {
		p, err := cl.SessionPage(t.Context(), r)
		if err == nil && (len(p.Sessions) != want || len(p.Unknown) > 0) {
			err = fmt.Errorf("%+v, not %d", p, want)
		}
		out = p.Sessions
		return err
	})
	return out
}

func idsOf(all []admin.Session) (out []string) {
	for _, s := range all {
		out = append(out, s.ID)
	}
	return out
}

func checkListed(t *testing.T, all []admin.Session, ana keys.Identity, began core.Millis) {
	t.Helper()
	if !slices.IsSortedFunc(all, func(a, b admin.Session) int { return strings.Compare(string(a.User), string(b.User)) }) {
		t.Errorf("not in order: %+v", all)
	}
	for _, s := range all {
		named := s.Name != nil && strings.HasPrefix(*s.Name, "ana of")
		if s.Node != "n1" || s.Since < began || !strings.HasPrefix(s.Address, "127.0.0.1:") || s.Lang != "go" || s.Version != nats.Version || s.Rooms == 0 ||
			!strings.HasPrefix(s.ID, "n1/") || named != (string(s.User) == ana.Public()) {
			t.Errorf("%+v", s)
		}
	}
}

// endOneSession ends one, and finds it gone the next time, also under the id of another run.
func endOneSession(t *testing.T, cl *admin.Client, s admin.Session, open []session) {
	t.Helper()
	other := s.ID[:strings.LastIndex(s.ID, "-")] + "-XXXX"
	_, err := cl.SessionEnd(t.Context(), other)
	wantError(t, err, core.KindNotFound, "is gone")
	e, err := cl.SessionEnd(t.Context(), s.ID)
	if err != nil || e.Count() != 1 || e.User != s.User || e.Session != s.ID {
		t.Fatalf("%+v, %v", e, err)
	}
	closed := 0
	nodetest.Wait(t, 10*time.Second, func() error {
		closed = 0
		for _, o := range open {
			if o.IsClosed() {
				closed++
			}
		}
		if closed != 1 {
			return fmt.Errorf("%d sessions are closed", closed)
		}
		return nil
	})
	_, err = cl.SessionEnd(t.Context(), s.ID)
	wantError(t, err, core.KindNotFound, "is gone")
	for _, bad := range []string{"n1", "n1/x", "n 1/7", "/7", "n1/7-aaaaaaaaaaaaaaaaaaaaaaa"} {
		_, err = cl.SessionEnd(t.Context(), bad)
		wantError(t, err, core.KindInvalid, "nor the id of a session")
	}
}

func checkSessionsAudited(t *testing.T, cl *admin.Client) {
	t.Helper()
	page, err := cl.Audit(t.Context(), admin.AuditRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, r := range page.Records {
		if r.Verb == "session-end" {
			args = append(args, r.Args+" "+r.Outcome)
		}
	}
	text := strings.Join(args, "\n")
	if !strings.Contains(text, "session=n1/") || !strings.Contains(text, "user=U") || !strings.Contains(text, " ok") || !strings.Contains(text, "not_found") {
		t.Errorf("the audit has %s", text)
	}
}

// TestSessionsOfASilentNode: a list without a node's sessions names that node, and so does an end.
func TestSessionsOfASilentNode(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{})
	cl := c.Client(0, c.Admin)
	listed(t, cl, admin.SessionPageRequest{}, 0)
	nodetest.Wait(t, 30*time.Second, func() error { // the cluster has its key, and the audit a leader
		if _, err := cl.SessionEnd(t.Context(), "n3/7"); core.KindOf(err) != core.KindNotFound {
			return fmt.Errorf("%w", err)
		}
		return nil
	})
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	p, err := cl.SessionPage(t.Context(), admin.SessionPageRequest{})
	if err != nil || !slices.Equal(p.Unknown, []string{"n3"}) {
		t.Errorf("%+v, %v", p, err)
	}
	nodetest.Wait(t, 20*time.Second, func() error { // the audit needs a leader, and it may have been on n3
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		e, err := cl.SessionEnd(ctx, "n3/7")
		if err == nil && !slices.Equal(e.Unreached(), []string{"n3"}) {
			err = fmt.Errorf("%+v", e)
		}
		return err
	})
	_, err = cl.SessionPage(t.Context(), admin.SessionPageRequest{After: "no cursor"})
	wantError(t, err, core.KindInvalid, "cursor")
}

// wantError sees the kind of an error, and a part of its text.
func wantError(t *testing.T, err error, want core.Kind, text string) {
	t.Helper()
	if core.KindOf(err) != want || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("%v, want %s: %s", err, want, text)
	}
}
