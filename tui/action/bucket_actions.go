package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

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
		Undo:        undoScale,
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
