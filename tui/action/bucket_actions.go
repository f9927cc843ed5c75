package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/widget"
)

func bucketActions() []Action {
	return []Action{bucketScale(), metaStepDown(), bucketStepDown()}
}

// bucketScale changes the replicas of every bucket.
func bucketScale() Action {
	return Action{
		Name: "bucket scale", Aliases: []string{"scale"}, Key: "c", Scope: PageBuckets, Confirmation: YesNo,
		Help:        "change the replicas of every bucket",
		Unavailable: scaleUnavailable,
		Question: func(s Input) Question {
			low, high := replicaRange(s)
			have := fmt.Sprintf("Every bucket has %s now.", widget.Plural(high, "replica", "replicas"))
			if low != high {
				have = fmt.Sprintf("The buckets have %d to %d replicas now.", low, high)
			}
			return Question{
				Title: "Change the replicas of every bucket?", ConfirmLabel: "Change",
				Lines: []string{
					fmt.Sprintf("%s Each is on a different one of the %d nodes. More than half of a bucket's replicas must answer for a write.", have, s.Snapshot.Status.Value.Expected),
					"Buckets stay in service. Copying their data may take a minute.",
				},
				Fields: []widget.Field{scaleField(s, high)},
			}
		},
		Command: func(_ Input, v []string) string {
			return "unibusd bucket scale --replicas " + core.ShellQuote(cmp.Or(v[0], "N"))
		},
		Run: func(ctx context.Context, c Client, _ Input, v []string) (string, error) {
			n, err := strconv.Atoi(v[0])
			if err != nil {
				return "", core.Errorf(core.KindInvalid, "%q is not a number of replicas", v[0])
			}
			d, err := c.BucketScale(ctx, n)
			return d.Text, err
		},
	}
}

// metaStepDown moves the leader of the meta group.
func metaStepDown() Action {
	return Action{
		Name: "meta step-down", Aliases: []string{"step-down", "stepdown"}, Key: "d", Hint: "move the meta leader", Scope: PageNodes, Confirmation: YesNo,
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
		Name: "bucket step-down", Key: "d", Scope: PageBuckets, ArgumentKind: KindBucket, Confirmation: YesNo,
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

// scaleUnavailable repeats the daemon's rule as far as the console can see it.
func scaleUnavailable(s Input) string {
	v := s.Snapshot.Status.Value
	bs := existingBuckets(v.Buckets)
	leaderless := slices.IndexFunc(bs, func(b cluster.Bucket) bool { return b.Leader == "" })
	switch {
	case len(bs) == 0:
		return "there are no buckets yet"
	case v.Serving.Backend != core.BackendKV:
		return "the control plane is not in KV; the migration raises the replicas"
	case v.Meta.Leader == "":
		return "the meta group has no leader"
	case leaderless >= 0:
		return bs[leaderless].Name + " has no leader"
	case maxReplicas(s) == 1:
		return "a cluster of one node has one replica of every bucket"
	}
	return ""
}

// replicaRange returns the lowest and the highest number of replicas of a bucket.
func replicaRange(s Input) (low, high int) {
	for _, b := range existingBuckets(s.Snapshot.Status.Value.Buckets) {
		if low == 0 || b.Wanted < low {
			low = b.Wanted
		}
		high = max(high, b.Wanted)
	}
	return low, high
}

// maxReplicas is one replica per node, within JetStream's limit of five.
func maxReplicas(s Input) int { return min(5, max(1, s.Snapshot.Status.Value.Expected)) }

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

func existingBuckets(bs []cluster.Bucket) []cluster.Bucket {
	return slices.DeleteFunc(slices.Clone(bs), func(b cluster.Bucket) bool { return len(b.Replicas) == 0 && b.Wanted == 0 })
}

// scaleField asks for a number of replicas. Why they cannot be lowered now stands under the field.
func scaleField(s Input, value int) widget.Field {
	highest := maxReplicas(s)
	return widget.Field{Label: fieldReplicas, Value: strconv.Itoa(value), Check: func(v string) error {
		r, err := strconv.Atoi(v)
		if err != nil || r < 1 || r > highest {
			return core.Errorf(core.KindInvalid, "Enter a number from 1 to %d: at most one replica per node.", highest)
		}
		if err := cluster.LoweringUnsafe(s.Snapshot.Status.Value.View, r); core.KindOf(err) != core.KindUnavailable {
			return err
		}
		return nil // the node waits for what passes by itself
	}}
}

// replicasField asks for the replicas of a migration, which raises them and never lowers them.
func replicasField(s Input, value int) widget.Field {
	_, high := replicaRange(s)
	least, highest := max(1, high), maxReplicas(s)
	return widget.Field{Label: fieldReplicas, Value: strconv.Itoa(max(value, least)), Check: func(v string) error {
		r, err := strconv.Atoi(v)
		switch {
		case err != nil || r < 1 || r > highest:
			return core.Errorf(core.KindInvalid, "Enter a number from %d to %d: at most one replica per node.", min(least, highest), highest)
		case r < least:
			return core.Errorf(core.KindInvalid, "There are %d already. A migration does not lower them.", least)
		}
		return nil
	}}
}
