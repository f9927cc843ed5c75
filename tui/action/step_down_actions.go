package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/widget"
)

// metaStepDown moves the leader of the meta group.
func metaStepDown() Action {
	return Action{
		Name: "meta step-down", Aliases: []string{"step-down", "stepdown"}, Key: "d", Hint: "move the meta leader", Scope: PageNodes, Confirmation: YesNo, NeedsNoQuorum: always,
		Help: "let another node lead the meta group",
		Unavailable: func(s Input) string {
			m := s.Snapshot.Status.Value.Meta
			switch {
			case m.Leader == "":
				return "the meta group has no leader"
			case m.Online < 2:
				return "no other node is online"
			}
			return ""
		},
		Question: func(s Input) Question {
			return stepDownQuestion("the meta group", s.Snapshot.Status.Value.Meta.Leader, onlineNodes(s))
		},
		Command: func(_ Input, v []string) string { return stepDownCommand("meta", v) },
		Run: func(ctx context.Context, c Client, _ Input, v []string) (string, error) {
			d, err := c.StepDown(ctx, "meta", v[0])
			return d.Text, err
		},
	}
}

// bucketStepDown moves the leader of a bucket.
func bucketStepDown() Action {
	return Action{
		Name: "bucket step-down", Key: "d", Scope: PageBuckets, ArgumentKind: KindBucket, Confirmation: YesNo, NeedsNoQuorum: always,
		Help:        "let another node lead a bucket",
		Unavailable: bucketStepDownUnavailable,
		Question: func(s Input) Question {
			b, _ := selectedBucket(s)
			return stepDownQuestion(b.Name, b.Leader, currentReplicas(b))
		},
		Command: func(s Input, v []string) string { return stepDownCommand(s.Selected.only(KindBucket), v) },
		Run: func(ctx context.Context, c Client, s Input, v []string) (string, error) {
			d, err := c.StepDown(ctx, s.Selected.only(KindBucket), v[0])
			return d.Text, err
		},
	}
}

func stepDownCommand(group string, v []string) string {
	line := "unibusd step-down " + core.ShellQuote(group)
	if len(v) > 0 && v[0] != "" {
		line += " --to " + core.ShellQuote(v[0])
	}
	return line
}

func stepDownQuestion(group, leader string, nodes []string) Question {
	nodes = slices.DeleteFunc(nodes, func(n string) bool { return n == leader })
	return Question{
		Title: fmt.Sprintf("Let another node lead %s?", group), ConfirmLabel: "Step down",
		Lines: []string{fmt.Sprintf("%s hands over to another node. Writes wait a few milliseconds; nothing is lost.", leader)},
		Fields: []widget.Field{{Label: "to", Hint: "any of " + strings.Join(nodes, ", "), Check: func(v string) error {
			if v == "" || slices.Contains(nodes, v) {
				return nil
			}
			return core.Errorf(core.KindInvalid, "%s cannot take over. Enter one of %s, or nothing.", v, strings.Join(nodes, ", "))
		}}},
	}
}

func bucketStepDownUnavailable(s Input) string {
	b, ok := selectedBucket(s)
	switch {
	case !ok:
		return nothingSelected(KindBucket)
	case b.Leader == "":
		return b.Name + " has no leader"
	case len(currentReplicas(b)) < 2:
		return b.Name + " has no other current replica to lead it"
	}
	return ""
}

func selectedBucket(s Input) (cluster.Bucket, bool) {
	id := s.Selected.only(KindBucket)
	for _, b := range s.Snapshot.Status.Value.AllBuckets() {
		if b.Name == id {
			return b, true
		}
	}
	return cluster.Bucket{}, false
}

// currentReplicas are the nodes with a current replica.
func currentReplicas(b cluster.Bucket) []string {
	var out []string
	for _, r := range b.Replicas {
		if r.State == cluster.ReplicaCurrent {
			out = append(out, r.Node)
		}
	}
	return out
}

func onlineNodes(s Input) []string {
	var out []string
	for _, n := range s.Snapshot.Status.Value.Nodes {
		if n.Online && !n.Off {
			out = append(out, n.Name)
		}
	}
	return out
}
