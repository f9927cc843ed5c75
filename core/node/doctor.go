package node

import (
	"context"
	"slices"
	"strings"
	"sync"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/doctor"
	"unibus/core/seal"
)

// controlPlaneChecker checks the buckets for the operators' service. It reads everything,
// so that a node runs one check at a time.
type controlPlaneChecker struct {
	n       *Node
	running *sync.Mutex
}

// onlineReplicas leaves out the replicas of silent nodes, which cannot be read.
type onlineReplicas struct {
	doctor.Replicas
	isSilent func(node string) bool
}

// Nodes implements doctor.Replicas.
func (o onlineReplicas) Nodes(ctx context.Context, t core.Table) ([]string, error) {
	all, err := o.Replicas.Nodes(ctx, t)
	if err != nil {
		return nil, err
	}
	if nodes := slices.DeleteFunc(all, o.isSilent); len(nodes) > 0 {
		return nodes, nil
	}
	return nil, core.Errorf(core.KindUnavailable, "no node with a replica of %s answers", t.Bucket()).WithNext("see which nodes answer: unibus-tui status")
}

// Check implements admin.controlPlaneChecker.
func (c controlPlaneChecker) Check(ctx context.Context, req admin.DoctorRequest) ([]doctor.Check, error) {
	store := c.n.selector.kv
	if store == nil {
		return nil, core.Errorf(core.KindRefused, "%s runs alone and has no replicas", c.n.cfg.Name).
			WithNext("check its file by a backup, which reads it whole: unibusd backup --out FILE")
	}
	if !c.running.TryLock() {
		return nil, core.Errorf(core.KindUnavailable, "%s is checking the control plane already", c.n.cfg.Name).WithNext("try again in a minute")
	}
	defer c.running.Unlock()
	var replicas doctor.Replicas = store
	if req.OnlineOnly {
		replicas = onlineReplicas{store, c.n.observer.Fresh(ctx).IsSilent}
	}
	checks := doctor.CheckReplicas(ctx, replicas)
	if !req.OnlineOnly { // else a node is being replaced, and is not to wait for the disks
		checks = append(checks, doctor.CheckBlocks(ctx, nodeBlocks{replicas, c.n})...)
	}
	switch {
	case req.ReplicasOnly:
		return checks, nil
	case c.n.selector.serving().Backend == core.BackendKV:
		checks = append(checks, doctor.CheckRows(ctx, store, seal.VerifyProofs)...)
	default: // the buckets are no control plane now: what they hold is older, or half of it
		checks = append(checks, doctor.Check{Name: "rows", State: doctor.Skipped, Text: c.n.cfg.Name + " does not serve the control plane from KV"})
	}
	return append(checks, versionsCheck(c.n.observer.Fresh(ctx))), nil
}

// versionsCheck compares the versions of all nodes. Those that work together are not wrong,
// as in status, and are named.
func versionsCheck(v cluster.View) doctor.Check {
	out := doctor.Check{Name: "versions", State: doctor.OK, Text: "all nodes run the same version"}
	if found := cluster.JudgeVersions(v); len(found) > 0 {
		worst := found[0]
		out.Text, out.Next = strings.TrimSuffix(worst.Text, "."), worst.Next
		if worst.Level != cluster.Note {
			out.State, out.Means = doctor.Wrong, "rows of the newer release are refused there, or misread"
			return out
		}
	}
	var silent []string
	for _, n := range v.Nodes {
		if n.Info == nil || v.IsSilent(n.Name) {
			silent = append(silent, n.Name)
		}
	}
	if len(silent) > 0 {
		out.State, out.Next = doctor.Unknown, "start what is down, and check again: unibusd doctor"
		out.Text += "; nothing is known of " + strings.Join(silent, ", ")
	}
	return out
}
