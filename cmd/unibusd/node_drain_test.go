package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// operatorCommands runs commands as the admin of a cluster.
type operatorCommands struct {
	t     *testing.T
	flags []string
}

func (o operatorCommands) run(args ...string) (out string, code int) {
	o.t.Helper()
	b, err := exec.Command(program(o.t, "unibusd"), append(args, o.flags...)...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		o.t.Fatal(err)
	}
	o.t.Logf("$ unibusd %s   (exit %d)\n%s", strings.Join(args, " "), code, b)
	return string(b), code
}

func (o operatorCommands) want(code int, text string, args ...string) {
	o.t.Helper()
	if out, got := o.run(args...); got != code && code >= 0 || code < 0 && got == 0 || !strings.Contains(out, text) {
		o.t.Errorf("%v: exit %d, want %d and %q:\n%s", args, got, code, text, out)
	}
}

// anyFailure is an exit code other than 0.
const anyFailure = -1

// TestNodeIsDrained: leaders and users leave a drained node and stay away, also after
// its restart; it may stop without an alarm; another one may not be drained meanwhile;
// and the maintenance ends by command, or by itself.
func TestNodeIsDrained(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true, BusAuth: core.BusAuthEnforce})
	cl := p.Client(0, 2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	o := operatorCommands{t, []string{"--server", strings.Join(p.URLs(0, 2), ","), "--identity", p.AdminSeedFile}}

	o.want(anyFailure, "no node is named n9", "node", "drain", "n9")
	o.want(anyFailure, "a maintenance cannot last 0s", "node", "drain", "n2", "--for", "0s")
	o.want(anyFailure, "n2 is not in maintenance", "node", "resume", "n2")

	user := nodetest.Identity(t)
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(user.Public())}); err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	nc := roamingUser(t, p, user, func() { close(told) })
	if _, err := cl.StepDown(t.Context(), "meta", "n2"); err != nil {
		t.Log("n2 leads already, or cannot yet:", err)
	}

	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Leader != "" && st.Verdict == cluster.Healthy }) // the election is over
	o.want(0, "n2 is in maintenance by ana since", "node", "drain", "n2", "--for", "1h")
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Error("the user's client was not told that the node is in lame duck mode")
	}
	awaitServer(t, nc, "n2", false)
	o.want(anyFailure, "n2 is in maintenance as well", "node", "drain", "n3")
	o.want(anyFailure, "n2 is in maintenance by ana", "step-down", "meta", "--to", "n2")
	if _, err := p.Connect(1, user); err == nil || errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a user at the drained node: %v", err)
	}
	if st := drainedStatus(t, cl, "n2", true); !strings.HasPrefix(st.Sentence, "n2 is in maintenance by ana since ") {
		t.Errorf("%s", st.Sentence)
	}

	p.Stop(1)
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		return st.IsSilent("n2") && st.Verdict == cluster.Healthy && strings.Contains(st.Sentence, "and does not answer. 2 of 3 nodes answer and 2 suffice")
	})
	p.Start(1)
	at2 := p.Client(1) // the restarted node itself says so as well
	drainedStatus(t, at2, "n2", true)
	at2.Close()

	o.want(0, "until", "node", "drain", "n2", "--for", "2h") // again: another end
	o.want(0, "n2 is in maintenance no more", "node", "resume", "n2")
	drainedStatus(t, cl, "n2", false)
	nodetest.Wait(t, nodetest.Convergence, func() error {
		c, err := p.Connect(1, user)
		if err == nil {
			c.Close()
		}
		return err
	})

	out, _ := o.run("node", "drain", "n2", "--for", "4s", "--json")
	var drained admin.NodeDrained
	if err := json.Unmarshal([]byte(out), &drained); err != nil || drained.By != "ana" || len(drained.Stay) != 9 || drained.Until-drained.Since != 4000 {
		t.Errorf("%v: %+v", err, drained)
	}
	awaitStatusOf(t, cl, func(st admin.Status) bool { return len(st.Maintenance) == 0 }) // by itself
	o.want(0, "node-resume", "audit")
}

// TestDrainMovesReplicas: where a fourth node is spare, the replicas of the drained one move
// too, and it may stop for as long as it likes.
func TestDrainMovesReplicas(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 4, Store: "kv", Replicas: 3, Listed: true, BusAuth: core.BusAuthEnforce})
	cl := p.Client(0, 2, 3)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	o := operatorCommands{t, []string{"--server", strings.Join(p.URLs(0, 2, 3), ","), "--identity", p.AdminSeedFile}}
	o.want(0, "It leads nothing, serves no users and has no replicas.", "node", "drain", "n2")
	p.Stop(1)
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		for _, b := range st.AllBuckets() {
			if len(b.Replicas) != 3 || slices.ContainsFunc(b.Replicas, func(r cluster.Replica) bool { return r.Node == "n2" || r.State != cluster.ReplicaCurrent }) {
				return false
			}
		}
		return st.IsSilent("n2") && st.Verdict == cluster.Healthy
	})
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())}); err != nil {
		t.Error(err)
	}
}

// roamingUser connects a user to n2, with a list of all nodes to go on to.
func roamingUser(t *testing.T, p *nodetest.Processes, user keys.Identity, onLameDuck func()) *nats.Conn {
	t.Helper()
	servers := append(p.URLs(1), p.URLs(0, 2)...)
	var nc *nats.Conn
	nodetest.Wait(t, nodetest.Convergence, func() (err error) {
		nc, err = nats.Connect(strings.Join(servers, ","), nats.Nkey(user.Public(), user.SignNonce), nats.CustomInboxPrefix("_INBOX."+user.Public()),
			nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.IgnoreAuthErrorAbort(),
			nats.LameDuckModeHandler(func(*nats.Conn) { onLameDuck() }))
		return err
	})
	t.Cleanup(nc.Close)
	awaitServer(t, nc, "n2", true)
	return nc
}

func awaitServer(t *testing.T, nc *nats.Conn, name string, is bool) {
	t.Helper()
	nodetest.Wait(t, nodetest.Convergence, func() error {
		if at := nc.ConnectedServerName(); at == "" || (at == name) != is {
			return fmt.Errorf("the user is connected to %q", at)
		}
		return nil
	})
}

// drainedStatus waits until a node is in maintenance and leads nothing, or is not in maintenance.
func drainedStatus(t *testing.T, cl *admin.Client, name string, is bool) (out admin.Status) {
	t.Helper()
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		_, drained := st.InMaintenance(name)
		out = st
		return drained == is && st.Verdict == cluster.Healthy && !st.IsSilent(name) && (!is || len(cluster.DrainStateOf(st.View, name).Leads) == 0)
	})
	return out
}
