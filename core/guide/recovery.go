package guide

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// diskLossWindow is how long ago a disk may have been lost and still belong to the same outage.
const diskLossWindow = time.Hour

// quorumLost brings nodes back with the data that they have. It refuses to continue where
// a majority would be empty: such nodes agree with each other on having no rows.
func quorumLost(c *checklist) {
	empty := c.emptyLately()
	whole := c.Meta.Size - len(empty)
	c.require(Step{
		Title: "A majority of the disks is intact", Why: "nodes with empty disks outvote the ones that have the rows",
		Do:   "if this is unsafe, start no further node, and keep every data directory; see docs/operations/restore.md",
		Seen: cmp.Or(strings.Join(empty, ", "), "no node") + " came back with an empty data directory within the last hour",
	}, whole >= c.Meta.Needed, Unsafe)
	for _, n := range c.silent() {
		c.add(c.atService(Step{
			Title: "Start " + at(n), Why: fmt.Sprintf("%d of %d nodes answer, and %d are needed", c.Meta.Online, c.Meta.Size, c.Meta.Needed), Seen: n.Name + " does not answer",
		}, "start", "with the data directory that it has; remove nothing, and restore nothing; where a majority is lost for good: unibusd guide rescue; ", n), Next)
	}
	if unseen := c.Expected - len(c.Nodes); unseen > 0 {
		c.add(Step{
			Title: fmt.Sprintf("Start %d more nodes of the configuration", unseen), Why: "they never answered " + c.From + ", which does not know their names",
			Do: "the list routes in the configuration file names them", Seen: fmt.Sprintf("%d of %d nodes are known", len(c.Nodes), c.Expected),
		}, Next)
	}
	c.require(Step{
		Title: "A majority answers", Why: "every change needs one", Seen: fmt.Sprintf("%d of %d nodes answer, and %d are needed", c.Meta.Online, c.Meta.Size, c.Meta.Needed),
	}, c.Meta.Online >= c.Meta.Needed, Waiting)
	c.ending()
	if !c.open {
		c.report.Text = "A majority answers, every node is there, and every replica holds the same rows."
	}
}

func (c *checklist) emptyLately() []string {
	var out []string
	for _, n := range c.Nodes {
		if at := c.emptySince(n.Name); at != 0 && c.now().Sub(at.Time()) < diskLossWindow && c.emptyNow(n.Name) {
			out = append(out, n.Name)
		}
	}
	return out
}

// emptyNow is true as long as a replica of the node is not current. Without a leader
// this is not known: then it counts as empty.
func (c *checklist) emptyNow(name string) bool {
	if c.Meta.Leader == "" || len(c.Buckets) < len(core.Tables()) {
		return true
	}
	return slices.ContainsFunc(c.AllBuckets(), func(b cluster.Bucket) bool {
		return slices.ContainsFunc(b.Replicas, func(r cluster.Replica) bool {
			return r.Node == name && (r.State != cluster.ReplicaCurrent || b.Leader == "")
		})
	})
}

// diskWiped takes the rows from the other nodes, which must be able to agree without it.
func diskWiped(c *checklist) {
	n, known := c.node(c.Args[0])
	if !known {
		c.notApplicable("no node is named " + c.Args[0])
		return
	}
	c.requireOtherReplicas(n)
	c.require(c.atService(Step{
		Title: "Start " + at(n) + " with an empty data directory", Why: "it takes everything from the others", Seen: answerText(n),
	}, "start", "keep its configuration and its name, and put no backup into it; ", n), n.Online, Next)
	at := c.emptySince(n.Name)
	c.require(Step{
		Title: n.Name + " began with an empty data directory", Why: "else this guide is not the one that you need",
		Do:   "stop unibusd there, move its data directory away, and start it again",
		Seen: map[bool]string{true: "seen by the other nodes", false: "no node has seen that its data directory was emptied"}[at != 0],
	}, at != 0, Next)
	c.ending()
	if !c.open {
		c.report.Text = n.Name + " has every row again, by a comparison of all replicas."
	}
}

// requireOtherReplicas stops where the others have no quorum of current replicas without a node.
func (c *checklist) requireOtherReplicas(n cluster.Node) {
	left := 0
	for _, o := range c.Nodes {
		if o.Online && !o.Off && o.Name != n.Name {
			left++
		}
	}
	fault := ""
	if left < c.Meta.Needed {
		fault = fmt.Sprintf("%d of the other nodes answer, and %d are needed", left, c.Meta.Needed)
	}
	for _, b := range c.AllBuckets() {
		current := 0
		for _, r := range b.Replicas {
			if r.Node != n.Name && r.State == cluster.ReplicaCurrent {
				current++
			}
		}
		if needed := max(1, len(b.Replicas))/2 + 1; fault == "" && current < needed {
			fault = fmt.Sprintf("%s has %d current replicas on the other nodes, and needs %d", b.Name, current, needed)
		}
	}
	c.require(Step{
		Title: "The other nodes have the rows", Why: "an empty node must not be needed for a majority",
		Seen: cmp.Or(fault, fmt.Sprintf("%d other nodes answer, and a majority of each bucket is current on them", left)),
	}, fault == "", Unsafe)
}

func answerText(n cluster.Node) string {
	if n.Online {
		return n.Name + " answers"
	}
	return n.Name + " does not answer"
}

// diskFull frees disk space first: JetStream stays off until its node is restarted.
func diskFull(c *checklist) {
	for _, n := range c.Nodes {
		for _, d := range disksOf(n) {
			if l := d.Level(); l != cluster.Healthy {
				c.add(Step{
					Title: "Free disk space on " + at(n), Why: "a full disk refuses every write, revocations too",
					Do:   "remove what is not of unibus, or enlarge the file system; remove nothing below the data directory. On " + at(n) + ":",
					Type: []string{"df -h " + core.ShellQuote(d.Path)}, Seen: fmt.Sprintf("%s has %d MiB free of %d", d.Path, d.Free>>20, d.Total>>20),
				}, Next)
			}
		}
	}
	for _, n := range c.Nodes {
		if n.Off {
			c.add(c.atService(Step{
				Title: "Restart " + at(n), Why: "JetStream turned itself off there, and does not come back by itself", Seen: "JetStream is off on " + n.Name,
			}, "restart", "", n), Next)
		}
	}
	c.allAnswer()
	c.ending()
	if !c.open {
		c.report.Text = "No disk is full, JetStream runs on every node, and every replica holds the same rows."
	}
}

func disksOf(n cluster.Node) []cluster.Disk {
	if n.Info == nil || n.Info.DiskComparison == nil || !n.Online {
		return nil
	}
	return n.Info.DiskComparison.Disks
}

// nodeLost lets `node replace` do the work, which completes what was interrupted.
func nodeLost(c *checklist) {
	old, next := c.Args[0], c.Args[1]
	removed := slices.ContainsFunc(c.Removed, func(r core.NodeChange) bool { return r.Name == old })
	n, known := c.node(old)
	if !known && !removed {
		c.notApplicable("no node is named " + old)
		return
	}
	unsafe, fault := cluster.RemovalUnsafe(c.View, old), ""
	if unsafe != nil && !removed {
		fault = core.AsError(unsafe).Text
	}
	c.require(Step{
		Title: "The cluster can do without " + at(n), Why: "a removed name never comes back, and the rest must agree on it",
		Seen: cmp.Or(fault, "the others have a quorum of every group"),
	}, fault == "", map[bool]State{true: Waiting, false: Unsafe}[core.KindOf(unsafe) == core.KindUnavailable])
	fresh, _ := c.node(next)
	c.require(Step{
		Title: "Replace " + old + " by " + next, Why: old + " counts in every quorum until it is removed",
		Do: "give the machine of " + next + " a certificate of its own name and the configuration of the others with that name; start the replacement, which waits for " +
			next + "; then start unibusd there; see docs/operations/nodes.md",
		Type: []string{"unibusd cert node --name " + next + " --ca DIR --host HOST --out DIR", "unibusd node replace " + old + " " + next},
		Seen: map[bool]string{true: old + " was removed", false: old + " is a member"}[removed] + ", and " + answerText(fresh),
	}, removed && fresh.Online, Next)
	c.ending()
	if !c.open {
		c.report.Text = old + " was removed, and " + next + " has every row, by a comparison of all replicas."
	}
}
