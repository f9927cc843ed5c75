package plain

import (
	"encoding/json"
	"io"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// The document of DESIGN section 5: what scripts rely on is always there, empty rather than left out.
type document struct {
	Verdict   cluster.Level     `json:"verdict"`
	Cluster   string            `json:"cluster"`
	Authority core.Authority    `json:"authority"` // backend none where there is no record
	Meta      meta              `json:"meta"`
	Nodes     []cluster.Node    `json:"nodes"`
	Buckets   []bucket          `json:"buckets"`
	Findings  []cluster.Finding `json:"findings"`

	Sentence  string          `json:"sentence"`
	Do        string          `json:"do,omitempty"`
	At        core.Millis     `json:"at"`
	From      string          `json:"from"`
	Clustered bool            `json:"clustered"`
	Expected  int             `json:"expected"`
	Serving   cluster.Serving `json:"serving"`
	Mechanism []bucket        `json:"mechanism,omitempty"`
	Counts    *core.Counts    `json:"counts,omitempty"`
	CountsAt  core.Millis     `json:"counts_at,omitempty"`
	Moving    migrate.State   `json:"moving,omitempty"`
	Move      *moveDoc        `json:"move,omitempty"`
	Operator  core.Operator   `json:"operator"`
}

// moveDoc is where a move stands; the whole of it is what `unibusd migration status --json` prints.
type moveDoc struct {
	State    migrate.State `json:"state"`
	Node     string        `json:"node"`
	Since    core.Millis   `json:"since"`
	Running  bool          `json:"running"`
	Paused   bool          `json:"paused"`
	Verified bool          `json:"verified"`
	Done     int           `json:"rows_done"`
	Total    int           `json:"rows_total"`
	Sentence string        `json:"sentence"`
	Error    *core.Error   `json:"error,omitempty"`
}

func moveOf(m migrate.Status) *moveDoc {
	if m.State == "" || m.State == migrate.StateNone {
		return nil
	}
	d := moveDoc{State: m.State, Node: m.Node, Since: m.Since, Running: m.Running, Paused: m.Paused, Verified: m.Verified, Sentence: m.Sentence(), Error: m.Error}
	d.Done, d.Total = m.CopiedRows()
	return &d
}

// meta and bucket name their leader even where there is none.
type meta struct {
	Leader string `json:"leader"`
	cluster.Meta
}

type bucket struct {
	cluster.Bucket
	Leader   string            `json:"leader"`
	Replicas []cluster.Replica `json:"replicas"`
}

// JSON writes a status, and where a move stands, as one JSON document.
func JSON(w io.Writer, s admin.Status, m migrate.Status) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(document{
		Verdict: s.Verdict, Cluster: s.Cluster, Authority: authority(s.Authority),
		Meta:  meta{Leader: s.Meta.Leader, Meta: s.Meta},
		Nodes: list(s.Nodes), Buckets: buckets(s.Buckets), Findings: list(s.Findings),
		Sentence: s.Sentence, Do: s.Do, At: s.At, From: s.From, Clustered: s.Clustered, Expected: s.Expected,
		Serving: s.Serving, Mechanism: buckets(s.Mechanism), Counts: s.Counts, CountsAt: s.CountsAt,
		Moving: migrate.State(s.Moving), Move: moveOf(m), Operator: s.Operator,
	})
}

func buckets(bs []cluster.Bucket) []bucket {
	out := make([]bucket, 0, len(bs))
	for _, b := range bs {
		out = append(out, bucket{Bucket: b, Leader: b.Leader, Replicas: list(b.Replicas)})
	}
	return out
}

// list is never null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func authority(a *core.Authority) core.Authority {
	if a == nil {
		return core.Authority{Backend: core.BackendNone}
	}
	return *a
}
