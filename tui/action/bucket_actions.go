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
			Help: "raise the replicas of every bucket",
			Why:  whyScale,
			Ask: func(s State) Question {
				low, high := present(s)
				have := fmt.Sprintf("Every bucket has %s now.", widget.Plural(high, "replica", "replicas"))
				if low != high {
					have = fmt.Sprintf("The buckets have from %d to %d replicas now.", low, high)
				}
				return Question{
					Title: "Raise the replicas of every bucket?", Confirm: "Raise",
					Lines: []string{
						fmt.Sprintf("%s Each is on another node, and there are %d; they are never lowered. More than half of a bucket's replicas must answer for it to be written.", have, s.Snap.Status.Value.Expected),
						"Buckets stay in service meanwhile. It may take a minute, while what they hold is copied.",
					},
					Fields: []widget.Field{replicas(s, high)},
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

// whyScale is the daemon's rule, as far as the console sees it.
func whyScale(s State) string {
	v := s.Snap.Status.Value
	bs := there(v.Buckets)
	low, _ := present(s)
	most := maxReplicas(s)
	lame := slices.IndexFunc(bs, func(b cluster.Bucket) bool { return b.Leader == "" })
	switch {
	case len(bs) == 0:
		return "there are no buckets yet"
	case v.Serving.Backend != core.BackendKV:
		return "the control plane is not in KV; its move raises the replicas"
	case v.Meta.Leader == "":
		return "the meta group has no leader"
	case lame >= 0:
		return bs[lame].Name + " has no leader"
	case low >= most:
		return fmt.Sprintf("every bucket has %s, and more are not possible with %s", widget.Plural(low, "replica", "replicas"), widget.Plural(v.Expected, "node", "nodes"))
	}
	return ""
}

// present is how many replicas the buckets have that have the fewest and the most.
func present(s State) (low, high int) {
	for _, b := range there(s.Snap.Status.Value.Buckets) {
		if low == 0 || b.Wanted < low {
			low = b.Wanted
		}
		high = max(high, b.Wanted)
	}
	return low, high
}

// maxReplicas is a replica for each node, and no more than JetStream can.
func maxReplicas(s State) int { return min(5, max(1, s.Snap.Status.Value.Expected)) }

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

// replicas is the field that asks for a number of replicas, which are raised and never lowered.
func replicas(s State, value int) widget.Field {
	_, high := present(s)
	least, most := max(1, high), maxReplicas(s)
	return widget.Field{Label: fieldReplicas, Value: strconv.Itoa(max(value, least)), Check: func(v string) error {
		r, err := strconv.Atoi(v)
		switch {
		case err != nil || r < 1 || r > most:
			return core.Errorf(core.KindInvalid, "Give a number from %d to %d: a replica for each node at the most.", min(least, most), most)
		case r < least:
			return core.Errorf(core.KindInvalid, "There are %d already, and they are never lowered.", least)
		}
		return nil
	}}
}
