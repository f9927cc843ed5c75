package action

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/widget"
)

func groups() []Action {
	return []Action{
		{
			Name: "bucket scale", Aliases: []string{"scale"}, Key: "c", Scope: "buckets", Danger: YesNo,
			Help: "change the replicas of every bucket",
			Why: func(s State) string {
				if len(there(s.Snap.Status.Value.Buckets)) == 0 {
					return "there are no buckets yet"
				}
				return ""
			},
			Ask: func(s State) Question {
				n := s.Snap.Status.Value.Expected
				return Question{
					Title: "Change the replicas of every bucket?", Confirm: "Change",
					Lines:  []string{fmt.Sprintf("Each replica is on another node, and there are %d. More than half of a bucket's replicas must answer for it to be written. Buckets stay in service meanwhile.", n)},
					Fields: []widget.Field{replicas(s)},
				}
			},
			Same: func(_ State, v []string) string { return "unibusd bucket scale --replicas " + v[0] },
			Run: func(ctx context.Context, c Client, _ State, v []string) (string, error) {
				n, err := strconv.Atoi(v[0])
				if err != nil {
					return "", core.Errorf(core.KindInvalid, "%q is not a number of replicas", v[0])
				}
				d, err := c.BucketScale(ctx, n)
				return d.Text, err
			},
		},
		{
			Name: "meta step-down", Aliases: []string{"step-down", "stepdown"}, Key: "d", Scope: "nodes", Danger: YesNo,
			Help: "let another node lead the meta group",
			Why: func(s State) string {
				m := s.Snap.Status.Value.Meta
				switch {
				case m.Leader == "":
					return "the meta group has no leader"
				case m.Online < 2:
					return "no other node is there to lead"
				}
				return ""
			},
			Ask: func(s State) Question {
				return stepDown(s, "the meta group", s.Snap.Status.Value.Meta.Leader, online(s))
			},
			Same: func(_ State, v []string) string { return stepSame("meta", v) },
			Run: func(ctx context.Context, c Client, _ State, v []string) (string, error) {
				d, err := c.StepDown(ctx, "meta", v[0])
				return d.Text, err
			},
		},
		{
			Name: "bucket step-down", Key: "d", Scope: "buckets", Takes: "bucket", Danger: YesNo,
			Help: "let another node lead a bucket",
			Why:  whyBucketStep,
			Ask: func(s State) Question {
				b, _ := selectedBucket(s)
				return stepDown(s, b.Name, b.Leader, copies(b))
			},
			Same: func(s State, v []string) string { return stepSame(s.Selected.One("bucket"), v) },
			Run: func(ctx context.Context, c Client, s State, v []string) (string, error) {
				d, err := c.StepDown(ctx, s.Selected.One("bucket"), v[0])
				return d.Text, err
			},
		},
	}
}

func stepSame(group string, v []string) string {
	line := "unibusd step-down " + group
	if len(v) > 0 && v[0] != "" {
		line += " --to " + v[0]
	}
	return line
}

func stepDown(_ State, group, leader string, nodes []string) Question {
	nodes = slices.DeleteFunc(nodes, func(n string) bool { return n == leader })
	return Question{
		Title: fmt.Sprintf("Let another node lead %s?", group), Confirm: "Step down",
		Lines: []string{fmt.Sprintf("%s hands over to another node. Writes wait for some milliseconds; nothing is lost.", leader)},
		Fields: []widget.Field{{Label: "to", Hint: "any of " + strings.Join(nodes, ", "), Check: func(v string) error {
			if v == "" || slices.Contains(nodes, v) {
				return nil
			}
			return core.Errorf(core.KindInvalid, "%s cannot take over. Name one of %s, or nobody.", v, strings.Join(nodes, ", "))
		}}},
	}
}

func whyBucketStep(s State) string {
	b, ok := selectedBucket(s)
	switch {
	case !ok:
		return "no bucket is selected"
	case b.Leader == "":
		return b.Name + " has no leader"
	case len(copies(b)) < 2:
		return b.Name + " has no other current replica to lead it"
	}
	return ""
}

func selectedBucket(s State) (cluster.Bucket, bool) {
	id := s.Selected.One("bucket")
	v := s.Snap.Status.Value
	for _, b := range slices.Concat(v.Buckets, v.Mechanism) {
		if b.Name == id {
			return b, true
		}
	}
	return cluster.Bucket{}, false
}

// copies are the nodes that hold a current replica.
func copies(b cluster.Bucket) []string {
	var out []string
	for _, r := range b.Replicas {
		if r.State == cluster.ReplicaCurrent {
			out = append(out, r.Node)
		}
	}
	return out
}

func online(s State) []string {
	var out []string
	for _, n := range s.Snap.Status.Value.Nodes {
		if n.Online {
			out = append(out, n.Name)
		}
	}
	return out
}

func there(bs []cluster.Bucket) []cluster.Bucket {
	return slices.DeleteFunc(slices.Clone(bs), func(b cluster.Bucket) bool { return len(b.Replicas) == 0 && b.Wanted == 0 })
}

// replicas is the field that asks for a number of replicas: 3 where there are as many nodes.
func replicas(s State) widget.Field {
	n := max(1, s.Snap.Status.Value.Expected)
	return widget.Field{Label: "replicas", Value: strconv.Itoa(min(3, n)), Check: func(v string) error {
		r, err := strconv.Atoi(v)
		if err != nil || r < 1 || r > min(5, n) {
			return core.Errorf(core.KindInvalid, "Give a number from 1 to %d: a replica for each node at the most.", min(5, n))
		}
		return nil
	}}
}
