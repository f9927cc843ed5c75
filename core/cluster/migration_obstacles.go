package cluster

import (
	"slices"
	"time"

	"unibus/core"
)

// Obstacles are what would keep a migration from writing the buckets, whichever store
// counts now: a meta group without a majority or one leader, buckets without a
// leader, replicas that are not current. Absent buckets and too few replicas are
// none: a migration makes and raises them. It is pure.
func Obstacles(v View, now time.Time) []Finding {
	if !v.Clustered {
		return nil
	}
	v.Authority = &core.Authority{Backend: core.BackendKV} // judged as what they are about to be
	fs := slices.Concat(v.cutFindings(), judgeMeta(v, now))
	if v.At != 0 && v.Meta.Online >= v.Meta.Needed {
		fs = slices.Concat(fs, leaderless(v, now), staleReplicaFindings(v))
	}
	return slices.DeleteFunc(fs, func(f Finding) bool { return f.Level.rank() < Degraded.rank() })
}
