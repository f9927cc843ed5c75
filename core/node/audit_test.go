package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// ready waits until node i accepts an action that changes nothing: nonces and audit are open then.
func ready(t *testing.T, c *nodetest.Cluster, i int) *admin.Client {
	t.Helper()
	cl := c.Client(i, c.Admin)
	takesRequests(t, cl)
	return cl
}

// takesRequests waits until an action that changes nothing is accepted.
func takesRequests(t *testing.T, cl *admin.Client) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		_, err := cl.BucketScale(t.Context(), 9)
		if core.KindOf(err) == core.KindInvalid {
			return nil
		}
		return fmt.Errorf("a wrong request: %w", err)
	})
}

// captured is a signed request as an attacker between client and node sees it.
func captured(t *testing.T, c *nodetest.Cluster, as keys.Identity, subject string, at time.Time, body any) *nats.Msg {
	t.Helper()
	msg := nats.NewMsg(subject)
	var err error
	if msg.Data, err = json.Marshal(body); err != nil {
		t.Fatal(err)
	}
	s := auth.NewSigned(c.Client(0, c.Admin).ClusterKey(), auth.Channel{}, subject, msg.Data, core.MillisOf(at))
	signature, err := auth.Sign(s, as.Sign)
	if err != nil {
		t.Fatal(err)
	}
	msg.Header = auth.Headers(s, signature)
	return msg
}

// send sends it through node i as the operator, and returns the answer of the service.
func send(t *testing.T, c *nodetest.Cluster, i int, msg *nats.Msg) error {
	t.Helper()
	nc, err := c.Connect(i, c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	reply, err := nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		t.Fatal(err)
	}
	var p admin.Problem
	if err := json.Unmarshal(reply.Data, &p); err == nil && p.Error != nil {
		return p.Error
	}
	return nil
}

// TestCapturedRequestIsRefusedElsewhere: after one use every node refuses the request,
// whichever node leads the nonces. Under another subject its signature is wrong.
func TestCapturedRequestIsRefusedElsewhere(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{})
	ops := []*admin.Client{ready(t, c, 0), ready(t, c, 1), ready(t, c, 2)}
	subject := admin.Subject(c.Admin.Public(), admin.TargetAny, "bucket-scale")
	body := admin.ScaleRequest{Replicas: 9} // refused as KindInvalid by whom it reaches: it changes nothing
	msg := captured(t, c, c.Admin, subject, time.Now(), body)
	if err := send(t, c, 0, msg); core.KindOf(err) != core.KindInvalid {
		t.Fatalf("the first time: %v", err)
	}
	everywhere(t, c, msg)
	if _, err := ops[0].StepDown(t.Context(), "UNIBUS_nonces", ""); err != nil {
		t.Fatal(err)
	}
	everywhere(t, c, msg)

	here := admin.Subject(c.Admin.Public(), admin.TargetNode("n1"), "bucket-scale")
	moved := captured(t, c, c.Admin, here, time.Now(), body)
	moved.Subject = admin.Subject(c.Admin.Public(), admin.TargetNode("n2"), "bucket-scale")
	if err := send(t, c, 1, moved); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "did not sign") {
		t.Errorf("sent to another node than it was signed for: %v", err)
	}
	bare := nats.NewMsg(subject)
	bare.Data = msg.Data
	if err := send(t, c, 0, bare); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("not signed: %v", err)
	}
	late := captured(t, c, c.Admin, subject, time.Now().Add(-auth.Window-time.Second), body)
	if err := send(t, c, 2, late); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "clock") {
		t.Errorf("after the window: %v", err)
	}
}

// everywhere sends a used request until each node has refused it. Any node may answer "any".
func everywhere(t *testing.T, c *nodetest.Cluster, msg *nats.Msg) {
	t.Helper()
	refusedBy := map[string]bool{}
	for i := 0; len(refusedBy) < 3; i++ {
		if i == 300 {
			t.Fatalf("only %v ever answered", refusedBy)
		}
		err := send(t, c, i%3, msg)
		if core.KindOf(err) == core.KindUnavailable {
			continue // right after a change of the leader nobody can say; nothing is done then
		}
		if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "used before") {
			t.Fatalf("a used request: %v", err)
		}
		for _, n := range c.Configs {
			if strings.Contains(err.Error(), n.Name+" does not act") {
				refusedBy[n.Name] = true
			}
		}
	}
}

// TestEveryActionIsInTheAudit: every node shows it, newest first and in pages.
func TestEveryActionIsInTheAudit(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{})
	cl := ready(t, c, 0)
	if _, err := cl.StepDown(t.Context(), "UNIBUS_audit", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client(1, c.Viewer).StepDown(t.Context(), "meta", ""); core.KindOf(err) != core.KindRefused {
		t.Fatalf("a viewer: %v", err)
	}
	viewer := c.Client(2, c.Viewer)
	nodetest.Wait(t, nodetest.Convergence, func() error {
		page, err := viewer.Audit(t.Context(), admin.AuditRequest{Limit: 1})
		if err != nil {
			return err
		}
		if len(page.Records) != 1 || page.Next == 0 {
			t.Fatalf("%+v", page)
		}
		r := page.Records[0]
		if r.Outcome == "unknown" {
			return errors.New("the outcome is not there yet") // it was added late, the leader having just stepped down
		}
		if r.Verb != "step-down" || r.Args != "group=UNIBUS_audit" || r.Outcome != "ok" || r.Name != "ana" || r.Key != c.Admin.Public() || r.Node != "n1" {
			t.Errorf("%+v", r)
		}
		next, err := viewer.Audit(t.Context(), admin.AuditRequest{Before: page.Next})
		if err != nil {
			return err
		}
		if len(next.Records) == 0 || next.Records[0].Outcome != "invalid" || next.Records[0].Args != "replicas=9" {
			t.Errorf("%+v", next.Records)
		}
		return nil
	})
}

// TestAuditRefusesWithoutIntent: a node without its peers cannot record an intent in the
// cluster, so it changes nothing. It still does what averts danger, and records that later.
func TestAuditRefusesWithoutIntent(t *testing.T) {
	t.Parallel()
	user := nodetest.Identity(t)
	seed := core.Snapshot{Users: []core.User{{ID: core.UserID(user.Public()), Role: core.RoleMember, Status: core.UserActive}}}
	c := nodetest.Start(t, nodetest.Config{Nodes: 2, Seed: seed})
	cl := ready(t, c, 0)
	c.WaitServing(core.BackendSQLite, 0)
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	id := nodetest.Identity(t).Public()
	_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(id)})
	if core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "nothing was done") {
		t.Fatalf("a change without an audit: %v", err)
	}
	if _, err := cl.UserGet(t.Context(), id); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the user was added all the same: %v", err)
	}
	if _, err := cl.UserRevoke(t.Context(), user.Public()); err != nil {
		t.Fatalf("a revocation at the node that serves: %v", err)
	}
	info, err := os.Stat(c.Configs[0].Data + "/audit.jsonl")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the node's own file: %v, %v", info, err)
	}
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 40*time.Second, func() error {
		page, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 20})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if r.Verb == "user-revoke" && r.Outcome == "ok" && strings.Contains(r.Args, user.Public()) {
				return nil
			}
		}
		return fmt.Errorf("not yet: %+v", page.Records)
	})
}
