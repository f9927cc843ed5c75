package node

import (
	"context"
	"sync"

	"unibus/core"
	"unibus/core/doctor"
)

// controlPlaneChecker checks the buckets for the operators' service. It reads everything,
// so that a node runs one check at a time.
type controlPlaneChecker struct {
	n       *Node
	running *sync.Mutex
}

// Check implements admin.controlPlaneChecker.
func (c controlPlaneChecker) Check(ctx context.Context, rows bool) ([]doctor.Check, error) {
	store := c.n.selector.kv
	if store == nil {
		return nil, core.Errorf(core.KindRefused, "%s runs alone and has no replicas", c.n.cfg.Name).
			WithNext("check its file by a backup, which reads it whole: unibusd backup --out FILE")
	}
	if !c.running.TryLock() {
		return nil, core.Errorf(core.KindUnavailable, "%s is checking the control plane already", c.n.cfg.Name).WithNext("try again in a minute")
	}
	defer c.running.Unlock()
	checks := doctor.CheckReplicas(ctx, store, doctor.Limits{})
	switch {
	case !rows:
	case c.n.selector.serving().Backend == core.BackendKV:
		checks = append(checks, doctor.CheckRows(ctx, store, doctor.Limits{})...)
	default: // the buckets are no control plane now: what they hold is older, or half of it
		checks = append(checks, doctor.Check{Name: "rows", State: doctor.Skipped, Text: c.n.cfg.Name + " does not serve the control plane from KV"})
	}
	return checks, nil
}
