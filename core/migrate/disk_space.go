package migrate

import (
	"context"
	"fmt"

	"unibus/core"
)

// replicaFactor is how many times the source's size a node's replica may take
// while it is written: the rows as messages, and the log of the group beside
// them. Measured were 2.8 at 140,000 rows; the rest is headroom.
const replicaFactor = 4

// spaceFactor is how many times the source's size must be free where the backup
// is written: the backup, and this node's own replica beside it.
const spaceFactor = 1 + replicaFactor

// writtenFactor is how many times the bytes that the buckets hold were written when
// they came there: as messages, and in the log of the group. A run that is
// repeated finds them equal and does not write them again.
const writtenFactor = 2

// spaceProblems are the nodes that have no room for what a move brings there.
func (j *Job) spaceProblems(ctx context.Context, c Cluster) []core.Problem {
	size := j.source().Size()
	held := j.replicaBytes(ctx)
	need := func(node string) int64 { // of what changed since, nobody knows how much it is: once the file
		return max(size, replicaFactor*size-writtenFactor*held[node])
	}
	out := j.backupSpaceProblems((spaceFactor-replicaFactor)*size + need(j.cfg.Node))
	for _, p := range c.Peers {
		if p.FreeBytes == nil || *p.FreeBytes >= need(p.Name) || p.Name == j.cfg.Node && len(out) > 0 {
			continue
		}
		out = append(out, core.Problem{
			Text: fmt.Sprintf("%s has %s free for its replica, the move needs %s there", p.Name, megabytes(*p.FreeBytes), megabytes(need(p.Name))),
			Next: "make room in the data directory of " + p.Name + ", then start again",
		})
	}
	return out
}

// replicaBytes is how many bytes an earlier run has left in the replicas, by node: only
// of nodes that have one of every bucket. What cannot be seen is not counted.
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
	for n, have := range replicas {
		if have == len(core.Tables()) {
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
		return []core.Problem{{Text: "the free space at " + dir + " cannot be read: " + err.Error(), Next: "see that the directory exists and can be read"}}
	case free < need:
		return []core.Problem{{
			Text: fmt.Sprintf("%s on %s has %s free, the move needs %s", dir, j.cfg.Node, megabytes(free), megabytes(need)),
			Next: "make room, then start again",
		}}
	}
	return nil
}

// megabytes is a size as people read it, rounded up.
func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", (bytes+1<<20-1)>>20) }
