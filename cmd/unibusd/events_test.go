package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/nodetest"
)

// TestEventsAreTold on processes: a killed node that comes back is one incident, for every node and
// after all were killed. Without a quorum a node shows what it knows and says so. The log alone tells
// the same, and the secret of a webhook is in no output.
func TestEventsAreTold(t *testing.T) {
	const secret = "4-secret-of-a-webhook-4"
	file := filepath.Join(t.TempDir(), "webhook-secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	port := nodetest.Ports(t, 1)[0] // nobody listens there
	p := nodetest.PrepareProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv"})
	for i := range p.Configs {
		n := &p.Configs[i]
		n.Webhooks, n.WebhookSecretFile, n.WebhookAllowPrivate = config.Webhooks{fmt.Sprintf("http://127.0.0.1:%d/T0KEN", port)}, file, true
		nodetest.WriteConfig(t, n.Data+".toml", *n, "")
	}
	p.StartAll()
	cl := p.Client(0, 1, 2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy && len(st.InternalBuckets) == 4 })
	for i := range 3 { // until then a node does not know that what it sees is news
		nodetest.Wait(t, 30*time.Second, func() error {
			if !strings.Contains(p.Log(i), "the verdict is healthy") {
				return fmt.Errorf("n%d has not seen the cluster healthy", i+1)
			}
			return nil
		})
	}
	p.Kill(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.IsSilent("n3") })
	events(t, p, true, 1)
	p.Start(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	id := events(t, p, false, 1)
	for i := range 2 {
		nodetest.Wait(t, 30*time.Second, func() error { return tellsOfLoss(p.Log(i)) })
	}
	for i := range 3 {
		p.Kill(i)
	}
	for i := range 3 {
		p.Start(i)
	}
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	if again := events(t, p, false, 1); again != id {
		t.Errorf("after the restart the incident is %s, and was %s", again, id)
	}
	p.Kill(1)
	p.Kill(2)
	awaitStatusOf(t, p.Client(0), func(st admin.Status) bool { return st.Meta.Leader == "" })
	nodetest.Wait(t, 60*time.Second, func() error {
		out, code := runCommand(p, []string{"events"})
		if code != 0 || !strings.Contains(out, `"note": "The stream of events takes no records since`) || !strings.Contains(out, id) || !strings.Contains(out, "n2 and n3") {
			return fmt.Errorf("%d: %s", code, out)
		}
		return nil
	})
	p.Kill(0)
	p.Start(0)
	nodetest.Wait(t, 60*time.Second, func() error {
		out, code := runCommand(p, []string{"events"})
		if code != 0 || !strings.Contains(out, "n1 has not read the history yet, because its stream has no leader") {
			return fmt.Errorf("%d: %s", code, out)
		}
		return nil
	})
	told := false
	for i := range 3 {
		told = told || strings.Contains(p.Log(i), "a webhook could not be told yet")
	}
	if !told {
		t.Error("no node tried to tell the webhook")
	}
	for i := range 3 {
		if log := p.Log(i); strings.Contains(log, secret) || strings.Contains(log, "T0KEN") {
			t.Errorf("the log of n%d has a secret: %s", i+1, log)
		}
	}
}

// events waits until `unibusd events --json` shows so many incidents of a lost n3, open or not, and returns
// the ID of the last one.
func events(t *testing.T, p *nodetest.Processes, open bool, want int) (id string) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		out, code := runCommand(p, []string{"events", "--since", "1h", "--limit", "500"})
		var doc historyDocument
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || doc.Note != "" {
			return fmt.Errorf("%d, %v: %s", code, err, out)
		}
		found := 0
		for _, e := range doc.Events {
			if e.Kind != "incident" || !slices.Equal(e.Subjects, []string{"node.n3"}) { // one that begins again, when all are started, is the same
				continue
			}
			id = e.ID
			found++
			if e.Open != open || e.Unrecorded || e.Replicas < 9 || len(e.Lines) < 9 || e.At.Location() != time.UTC || !strings.HasPrefix(e.Text, "n3 lost ") {
				return fmt.Errorf("%+v", e)
			}
		}
		if found != want {
			return fmt.Errorf("%d incidents of n3, want %d: %s", found, want, out)
		}
		return nil
	})
	return id
}

// tellsOfLoss is nil for a log that tells that n3 was lost, and that it is back. The node may
// have seen an election before it knew why.
func tellsOfLoss(log string) error {
	begins := strings.Contains(log, "incident begins: n3 lost") || strings.Contains(log, "incident goes on: n3 lost")
	if !begins || !strings.Contains(log, "incident ends: n3 lost") || !strings.Contains(log, "the verdict is degraded") || !strings.Contains(log, "the verdict is healthy") {
		return fmt.Errorf("the log does not tell: %s", log)
	}
	return nil
}
