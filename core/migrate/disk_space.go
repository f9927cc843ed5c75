package migrate

import (
	"context"
	"fmt"

	"unibus/core"
)

// replicaFactor is how many times the source's size a node's replica may take
// while it is written: the rows as messages, and the log of the Raft group. The
// measured factor was 2.8 at 140,000 rows; the rest is headroom.
const replicaFactor = 4

// spaceFactor is how many times the source's size must be free on the source node:
// for the backup, and for its own replica.
const spaceFactor = 1 + replicaFactor

// writtenFactor is how many times the bytes of a bucket were written when they
// came there: as messages, and in the log of the group. A repeated run finds them
// equal and does not write them again.
const writtenFactor = 2

// MostSpace is how many bytes a migration of a file of this size takes at most on the node of the file.
func MostSpace(size int64) int64 { return spaceFactor * size }

// spaceProblems names the nodes that lack space for what a migration writes there.
func (j *Job) spaceProblems(ctx context.Context, c Cluster) []core.Problem {
	size := j.source().Size()
	held := j.replicaBytes(ctx)
	need := func(node string) int64 { // at least the file once: how much changed since is not known
		return max(size, replicaFactor*size-writtenFactor*held[node])
	}
	out := j.backupSpaceProblems((spaceFactor-replicaFactor)*size + need(j.cfg.Node))
	for _, p := range c.Peers {
		if p.FreeBytes == nil || *p.FreeBytes >= need(p.Name) || p.Name == j.cfg.Node && len(out) > 0 {
			continue
		}
		out = append(out, core.Problem{
			Text: fmt.Sprintf("%s has %s free for its replica, and the migration needs %s there", p.Name, megabytes(*p.FreeBytes), megabytes(need(p.Name))),
			Next: "free disk space in the data directory of " + p.Name + ", then start again",
		})
	}
	return out
}

// replicaBytes is how many bytes an earlier run left in the replicas, by node. It
// covers nodes that have one of every bucket. A replica that cannot be read counts as
// nothing.
func (j *Job) replicaBytes(ctx context.Context) map[string]int64 {
	replicas := map[string]int{}
	for _, t := range core.Tables() {
		nodes, err := j.cfg.Target.Nodes(ctx, t)
		if err != nil {
			return nil
		}
		for _, n := range nodes {
			replicas[n]++
		}
	}
	size, err := j.cfg.Target.BucketBytes(ctx)
	if err != nil {
		return nil
	}
	out := map[string]int64{}
	for n, buckets := range replicas {
		if buckets == len(core.Tables()) {
			out[n] = size
		}
	}
	return out
}

func (j *Job) backupSpaceProblems(need int64) []core.Problem {
	dir := j.backupDir()
	free, err := j.cfg.FreeSpace(dir)
	switch {
	case err != nil:
		return []core.Problem{{Text: "the free space at " + dir + " cannot be read: " + err.Error(), Next: "make sure that the directory exists and can be read"}}
	case free < need:
		return []core.Problem{{
			Text: fmt.Sprintf("%s on %s has %s free, and the migration needs %s", dir, j.cfg.Node, megabytes(free), megabytes(need)),
			Next: "free disk space, then start again",
		}}
	}
	return nil
}

// megabytes formats a size, rounded up.
func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", (bytes+1<<20-1)>>20) }
