package plain

import (
	"encoding/json"
	"io"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// document has every field that scripts rely on, empty rather than missing.
type document struct {
	Verdict   cluster.Level     `json:"verdict"`
	Cluster   string            `json:"cluster"`
	Authority core.Authority    `json:"authority"` // backend none without a record
	Meta      metaDocument      `json:"meta"`
	Nodes     []cluster.Node    `json:"nodes"`
	Buckets   []bucketDocument  `json:"buckets"`
	Findings  []cluster.Finding `json:"findings"`

	Sentence        string             `json:"sentence"`
	Do              string             `json:"do,omitempty"`
	At              core.Millis        `json:"at"`
	From            string             `json:"from"`
	Clustered       bool               `json:"clustered"`
	Expected        int                `json:"expected"`
	Serving         cluster.Serving    `json:"serving"`
	InternalBuckets []bucketDocument   `json:"mechanism,omitempty"`
	Counts          *core.Counts       `json:"counts,omitempty"`
	CountsAt        core.Millis        `json:"counts_at,omitempty"`
	Moving          migrate.State      `json:"moving,omitempty"`
	Move            *migrationDocument `json:"move,omitempty"`
	Operator        core.Operator      `json:"operator"`
}

// migrationDocument is a summary; `unibusd migration status --json` prints the
// whole state.
type migrationDocument struct {
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

func newMigrationDocument(m migrate.Status) *migrationDocument {
	if m.State == "" || m.State == migrate.StateNone {
		return nil
	}
	d := migrationDocument{State: m.State, Node: m.Node, Since: m.Since, Running: m.Running, Paused: m.Paused, Verified: m.Verified, Sentence: m.Sentence(), Error: m.Error}
	d.Done, d.Total = m.CopiedRows()
	return &d
}

// metaDocument and bucketDocument include the leader even if there is none.
type metaDocument struct {
	Leader string `json:"leader"`
	cluster.Meta
}

type bucketDocument struct {
	cluster.Bucket
	Leader   string            `json:"leader"`
	Replicas []cluster.Replica `json:"replicas"`
}

// JSON writes the status of the cluster and of its migration as one JSON
// document.
func JSON(w io.Writer, s admin.Status, m migrate.Status) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(document{
		Verdict: s.Verdict, Cluster: s.Cluster, Authority: authorityOrNone(s.Authority),
		Meta:  metaDocument{Leader: s.Meta.Leader, Meta: s.Meta},
		Nodes: nonNil(s.Nodes), Buckets: bucketDocuments(s.Buckets), Findings: nonNil(s.Findings),
		Sentence: s.Sentence, Do: s.Do, At: s.At, From: s.From, Clustered: s.Clustered, Expected: s.Expected,
		Serving: s.Serving, InternalBuckets: bucketDocuments(s.InternalBuckets), Counts: s.Counts, CountsAt: s.CountsAt,
		Moving: migrate.State(s.Moving), Move: newMigrationDocument(m), Operator: s.Operator,
	})
}

func bucketDocuments(bs []cluster.Bucket) []bucketDocument {
	out := make([]bucketDocument, 0, len(bs))
	for _, b := range bs {
		out = append(out, bucketDocument{Bucket: b, Leader: b.Leader, Replicas: nonNil(b.Replicas)})
	}
	return out
}

// nonNil makes an empty list of a nil slice, so that it is not encoded as null.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func authorityOrNone(a *core.Authority) core.Authority {
	if a == nil {
		return core.Authority{Backend: core.BackendNone}
	}
	return *a
}
