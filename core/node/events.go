package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/events"
	"unibus/core/webhook"
)

// openEvents begins to keep what happens in the cluster, and to tell webhooks of it.
func (n *Node) openEvents(ctx context.Context) error {
	var conn *nats.Conn
	if n.cfg.Clustered() {
		conn = n.conns.events // alone there is no JetStream
	}
	cfg := events.Config{
		Conn: conn, Replicas: internalReplicas(n.cfg.Replicas, n.cfg.Size()), Node: n.cfg.Name,
		Now: func() core.Millis { return core.MillisOf(time.Now()) }, Logger: n.log, Story: n.unfilteredLog(),
	}
	if len(n.cfg.Webhooks) > 0 {
		secret, err := webhook.ReadSecret(n.cfg.WebhookSecretFile)
		if err != nil {
			return err
		}
		n.webhooks, err = webhook.New(webhook.Config{
			URLs: n.cfg.Webhooks, Secret: secret, ReadSecret: func() ([]byte, error) { return webhook.ReadSecret(n.cfg.WebhookSecretFile) },
			File: filepath.Join(n.cfg.Data, "webhook-queue.json"), AllowPrivate: n.cfg.WebhookAllowPrivate, Now: time.Now, Logger: n.log,
		})
		if err != nil {
			return err
		}
		if err := n.webhooks.Open(ctx); err != nil {
			return err
		}
		cfg.Tell = n.tellWebhooks
	}
	n.events = events.New(cfg)
	return n.events.Open(ctx)
}

// unfilteredLog is the node's log without the filter of repeated lines: a verdict that is the same as
// a minute ago is told again, and a verdict that comes and goes is damped before.
func (n *Node) unfilteredLog() *slog.Logger { return n.cfg.Log.With("node", n.cfg.Name) }

func (n *Node) closeEvents(context.Context) error {
	err := n.events.Close()
	if n.webhooks != nil {
		err = errors.Join(err, n.webhooks.Close())
	}
	return err
}

// observeEvents hands over what was seen, and the lines that came since the last time.
func (n *Node) observeEvents(v cluster.View) {
	now := time.Now()
	lines := n.recorder.Since(n.recorded, cluster.KeptEvents)
	if len(lines) > 0 {
		if missed := lines[0].Seq - n.recorded - 1; missed > 0 {
			n.events.Missed(int(missed))
		}
		n.recorded = lines[len(lines)-1].Seq
	}
	n.events.Observe(cluster.Observation{At: core.MillisOf(now), View: v, Judgment: cluster.Judge(v, now), Events: lines})
}

// verdictMessage is what webhooks are sent; docs/operations/monitoring.md describes it.
type verdictMessage struct {
	Kind      string            `json:"kind"` // verdict
	Cluster   string            `json:"cluster"`
	Node      string            `json:"node"` // that sends it
	At        time.Time         `json:"at"`
	Verdict   cluster.Level     `json:"verdict"`
	Was       cluster.Level     `json:"was"`
	Sentence  string            `json:"sentence"`
	Do        string            `json:"do,omitempty"`
	Findings  []cluster.Finding `json:"findings"`
	Incidents []incidentMessage `json:"incidents"` // that are not over
}

type incidentMessage struct {
	ID       string        `json:"id"`
	Level    cluster.Level `json:"level"`
	Begin    time.Time     `json:"begin"`
	Sentence string        `json:"sentence"`
}

// maxMessageFindings keeps a message short; the worst ones come first.
const maxMessageFindings = 20

func (n *Node) tellWebhooks(c cluster.VerdictChange, open []cluster.Incident) {
	j := cluster.Judge(n.observer.View(), time.Now())
	m := verdictMessage{
		Kind: "verdict", Cluster: n.clusterName(), Node: n.cfg.Name, At: c.At.Time(), Verdict: c.To, Was: c.From, Sentence: c.Sentence, Do: c.Do,
		Findings: j.Findings[:min(len(j.Findings), maxMessageFindings)], Incidents: []incidentMessage{},
	}
	for _, i := range open {
		m.Incidents = append(m.Incidents, incidentMessage{ID: i.ID, Level: i.Level, Begin: i.Begin.Time(), Sentence: i.Sentence()})
	}
	n.webhooks.Send(m)
}
