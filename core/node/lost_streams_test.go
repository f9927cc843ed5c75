package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestLostStreamsAreCritical: a stream of the control plane that is deleted under running nodes
// is reported at once by name, with either store, also while another node is down and after a
// restart.
func TestLostStreamsAreCritical(t *testing.T) {
	t.Parallel()
	a, b := nodetest.Identity(t), nodetest.Identity(t)
	for name, cfg := range map[string]nodetest.Config{
		"sqlite": {Seed: seed(a, b)},
		"kv":     {Store: core.BackendKV},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := nodetest.Start(t, cfg)
			c.WaitServing(c.Configs[0].Store, 0)
			cl := ready(t, c, 0)
			nodetest.Wait(t, 30*time.Second, func() error {
				st, err := cl.Status(t.Context())
				if err == nil && (st.Judgment.Verdict == cluster.Critical || len(st.InternalBuckets) < 4) {
					err = fmt.Errorf("%s, %d streams", st.Judgment.Sentence, len(st.InternalBuckets))
				}
				return err
			})
			if err := c.Nodes[2].Close(); err != nil {
				t.Fatal(err)
			}
			purge(t, c.Nodes[1].StoreConn(), "$JS.API.STREAM.DELETE.UNIBUS_audit")
			lost(t, cl, "UNIBUS_audit", "audit was deleted")
			purge(t, c.Nodes[1].SystemConn(), "$JS.API.ACCOUNT.PURGE.CONTROL")
			lost(t, cl, "UNIBUS_control", "control")
			if c.Configs[0].Store == core.BackendKV {
				lost(t, cl, "UNIBUS_users", "every bucket")
			}
			nodetest.Wait(t, nodetest.Convergence, func() error { // the view is published before its events
				events, err := cl.EventsOf(t.Context(), c.Configs[0].Name, admin.EventsRequest{})
				if err == nil && !slices.ContainsFunc(events.Events, func(e cluster.Event) bool { return e.Level == cluster.Critical && e.About == "UNIBUS_control" }) {
					err = fmt.Errorf("no event tells of it: %+v", events.Events)
				}
				return err
			})
			if err := c.Nodes[0].Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.Open(0); err != nil {
				t.Fatal(err)
			}
			lost(t, c.Client(0, c.Admin), "UNIBUS_control", "control")
		})
	}
}

func purge(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		reply, err := nc.Request(subject, []byte("{}"), 10*time.Second)
		if err == nil && strings.Contains(string(reply.Data), `"error"`) {
			err = fmt.Errorf("%s", reply.Data)
		}
		return err
	})
}

// lost waits for the finding about a stream. No other finding may guess a cause for it.
func lost(t *testing.T, cl *admin.Client, stream, text string) {
	t.Helper()
	nodetest.Wait(t, 40*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		short := strings.TrimPrefix(stream, "UNIBUS_")
		told := false
		for _, f := range st.Judgment.Findings {
			switch mine := strings.Contains(f.Text, "deleted"); {
			case mine && f.Level == cluster.Critical && strings.Contains(f.Text, text):
				told = true
			case !mine && (strings.Contains(f.Text, "disk of") || f.About != "node.n3" && strings.Contains(f.Next, "start unibusd") && strings.Contains(f.Text, short)):
				return fmt.Errorf("a guess: %s (%s)", f.Text, f.Next)
			}
		}
		if !told || st.Judgment.Verdict != cluster.Critical {
			return fmt.Errorf("%s: %+v", st.Judgment.Verdict, st.Judgment.Findings)
		}
		return nil
	})
}
