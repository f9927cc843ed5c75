package node_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/nodetest"
	"unibus/core/webhook"
)

// incidentsOf returns the recorded incidents in which a node was lost.
func incidentsOf(t *testing.T, cl *admin.Client, lost string) (out []admin.HistoryEntry, err error) {
	t.Helper()
	page, err := cl.History(t.Context(), admin.HistoryRequest{})
	for _, e := range page.Entries {
		if e.Incident != nil && slices.Contains(e.Incident.Lost, lost) && !e.Unrecorded {
			out = append(out, e)
		}
	}
	if err == nil && page.Note != "" {
		err = fmt.Errorf("%s", page.Note)
	}
	return out, err
}

// TestEventsSurviveARestart: a node is lost and comes back. That is one incident at every node, also
// after all nodes were restarted.
func TestEventsSurviveARestart(t *testing.T) {
	told := newVerdictReceiver(t)
	secretFile := filepath.Join(t.TempDir(), "webhook-secret")
	if err := os.WriteFile(secretFile, []byte("a secret of many bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Before: func(c *nodetest.Cluster) {
		for i := range c.Configs {
			n := &c.Configs[i]
			n.Webhooks, n.WebhookSecretFile, n.WebhookAllowPrivate = config.Webhooks{told.URL}, secretFile, true
		}
	}})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := ready(t, c, 0)
	nodetest.Wait(t, 60*time.Second, func() error {
		_, err := incidentsOf(t, cl, "n3")
		return err
	})
	for i := range c.Nodes { // what a node sees at its start, before all is healthy, is no incident yet
		at := c.Client(i, c.Viewer)
		nodetest.Wait(t, 60*time.Second, func() error { return nodetest.CheckHealthy(at) })
	}
	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 60*time.Second, func() error { return oneIncident(t, cl, true) })
	if err := c.Open(2); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 60*time.Second, func() error { return oneIncident(t, cl, false) })
	for _, i := range []int{1, 2} {
		nodetest.Wait(t, 30*time.Second, func() error { return oneIncident(t, c.Client(i, c.Viewer), false) })
	}
	nodetest.Wait(t, 60*time.Second, func() error { return told.have("degraded, was healthy", "healthy, was degraded") })
	done := make(chan error, 3)
	for _, n := range c.Nodes {
		go func() { done <- n.Close() }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		go func() { done <- c.Open(i) }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		cl := c.Client(i, c.Viewer)
		nodetest.Wait(t, 60*time.Second, func() error { return oneIncident(t, cl, false) })
		lines, err := cl.EventsOf(t.Context(), c.Configs[i].Name, admin.EventsRequest{Limit: 500}) // what the console shows
		if err != nil || !slices.ContainsFunc(lines.Events, func(e cluster.Event) bool { return e.About == "n3" && e.Level == cluster.Degraded && e.Seq == 0 }) ||
			!slices.IsSortedFunc(lines.Events, func(a, b cluster.Event) int { return cmp.Compare(a.Seq, b.Seq) }) {
			t.Errorf("the lines of before the start are not there: %+v, %v", lines.Events, err)
		}
	}
}

// verdictReceiver is a webhook that keeps the verdicts which it was told.
type verdictReceiver struct {
	*httptest.Server
	mu   sync.Mutex
	told []string
}

func newVerdictReceiver(t *testing.T) *verdictReceiver {
	t.Helper()
	r := &verdictReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var m struct {
			Kind, Cluster, Node, Verdict, Was, Sentence string

			At       time.Time
			Findings []cluster.Finding
		}
		if err = errors.Join(err, json.Unmarshal(body, &m)); err != nil || m.Kind != "verdict" || m.Cluster != "test" || m.Node == "" || m.Sentence == "" || m.At.IsZero() {
			t.Errorf("%s: %v", body, err)
		}
		if want := webhook.Signature([]byte("a secret of many bytes"), req.Header.Get(webhook.HeaderTimestamp), body); req.Header.Get(webhook.HeaderSignature) != want {
			t.Errorf("the signature is %s, want %s", req.Header.Get(webhook.HeaderSignature), want)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, m.Verdict+", was "+m.Was)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *verdictReceiver) have(want ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.told, want) {
		return fmt.Errorf("the webhook was told %q, want %q", r.told, want)
	}
	return nil
}

func oneIncident(t *testing.T, cl *admin.Client, open bool) error {
	t.Helper()
	all, err := incidentsOf(t, cl, "n3")
	if err != nil {
		return err
	}
	if len(all) != 1 || all[0].Incident.IsOpen() != open || all[0].Incident.Replicas < 9 || len(all[0].Incident.Lines) < 9 {
		text := ""
		for _, e := range all {
			text += fmt.Sprintf(" %s (%d lines)", e.Incident.Sentence(), len(e.Incident.Lines))
		}
		return fmt.Errorf("%d incidents of n3:%s", len(all), text)
	}
	return nil
}
