package guide

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// rescue goes on without a majority that is lost for good. The operator types the facts
// that no node can know: the name of each lost node, and how many are left. So no command
// of these two steps can be copied as it stands.
func rescue(c *checklist) {
	silent, missing := c.silent(), c.missingReplicas()
	switch hasQuorum := c.Meta.Online >= c.Meta.Needed; {
	case !hasQuorum:
		c.requireSurvivors()
	case len(silent) > 0 && missing == "": // no rescue has taken replicas away
		c.notApplicable(fmt.Sprintf("a majority answers, and can do without %s: unibusd guide node-lost OLD NEW", names(silent)))
		return
	default:
		silent = nil // new nodes that have not been started yet
	}
	c.requireRoute()
	for _, name := range c.Fenced() {
		c.add(Step{Title: "Fence " + name, Why: "its name must be refused before the others go on without it"}, Done)
	}
	for _, n := range silent {
		c.fence(n)
	}
	c.lowerQuorum()
	pending := cluster.RescuePending(c.View)
	c.require(Step{
		Title: "Every bucket has a leader", Why: "the servers drop the removed nodes from the groups of the buckets within half a minute",
		Seen: cmp.Or(pending, "the meta group and every bucket have a leader"),
	}, pending == "", Waiting)
	c.refill(missing)
	c.quorumEnds()
	c.ending()
	switch {
	case c.open:
	case len(c.Removed) == 0:
		c.report.Text = "A majority answers: there is nothing to rescue, and every replica holds the same rows."
	default:
		c.report.Text = "A majority answers, no lost node counts any more, and every replica holds the same rows. Changes that only the lost nodes had are gone: see docs/operations/rescue.md."
	}
}

// requireRoute is for a node that is left alone and was started again: its server runs no raft group
// before another server is connected.
func (c *checklist) requireRoute() {
	if !c.Meta.NoRoute {
		return
	}
	n, _ := c.node(c.From)
	c.add(c.atService(Step{
		Title: "Connect a new node to " + c.From, Why: c.From + " was started after the others were lost, and its groups wait until any other server has a route to it",
		Seen: c.From + " has heard no other server since its start",
	}, "restart", "set up a new machine as in docs/operations/three-hosts.md, under a name that no node had, with routes to "+c.From+" and to itself; "+
		"add its name and its address to nodes and routes in the configuration of "+c.From+"; start unibusd on the new machine; ", n), Next)
}

func names(nodes []cluster.Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return strings.Join(out, ", ")
}

// requireSurvivors stops before the first fence, which is final.
func (c *checklist) requireSurvivors() {
	err := cluster.RescueHopeless(c.View)
	s := Step{
		Title: "The nodes that answer have a replica of everything", Why: "what has no replica left would be created anew, empty",
		Do:   "if this is unsafe, fence no node, and keep every data directory: a backup is the way, see docs/operations/restore.md",
		Seen: fmt.Sprintf("%s answers, with a replica of each of %d buckets and streams", strings.Join(c.Survivors(), ", "), len(c.Streams)),
	}
	found := Done
	if err != nil {
		s.Seen, found = strings.TrimSuffix(core.AsError(err).Text, "."), Unsafe
	}
	if core.KindOf(err) == core.KindUnavailable {
		found = Waiting
	}
	c.add(s, found)
}

func (c *checklist) fence(n cluster.Node) {
	seen, found := silentText(n), Next
	if err := cluster.FenceUnsafe(c.View, n.Name); err != nil {
		seen, found = strings.TrimSuffix(core.AsError(err).Text, "."), Waiting
	}
	c.add(Step{
		Title: "Fence " + at(n), Why: "if it ran again it would be a second cluster, and each would take writes that the other never sees",
		Do: "if its disk can be brought back, do that instead: unibusd guide quorum-lost. Else make sure that it cannot start again: cut its power, or erase its disk. " +
			"Only you can know that. A fence is final. Type its name, " + n.Name + ", in place of NAME:",
		Type: []string{"unibusd node fence NAME"}, Seen: seen,
	}, found)
}

func silentText(n cluster.Node) string {
	if n.HeardMS < 0 {
		return n.Name + " never answered"
	}
	return fmt.Sprintf("%s has not answered for %s", n.Name, (time.Duration(n.HeardMS) * time.Millisecond).Round(time.Second))
}

// lowerQuorum is done once no fenced node counts. Another call completes an interrupted one.
func (c *checklist) lowerQuorum() {
	left, fenced := c.Survivors(), c.Fenced()
	if len(fenced) > 0 && c.Meta.Leader != "" && c.Meta.RescueUntil == 0 {
		c.removeReturned(fenced)
		return
	}
	counted := fmt.Sprintf("%d of %d members of the meta group left: %s; %d needed", len(left), c.Meta.Size, strings.Join(left, ", "), c.Meta.Needed)
	s := Step{
		Title: "Lower the quorum, and remove the fenced nodes", Why: "the lost nodes count in every majority until they are removed, one after the other",
		Do:   fmt.Sprintf("compare the nodes that are left with what you know. All of them must agree, so the quorum is their number: type %d in place of N. The command may be repeated:", len(left)),
		Type: []string{"unibusd node rescue --quorum N"}, Seen: counted,
	}
	if c.Meta.RescueUntil != 0 {
		s.Seen = counted + "; " + c.countdown()
	}
	if loss := cluster.LossSentences(c.From, cluster.RescueLoss(c.View)); loss != "" {
		s.Why += ". " + strings.TrimSuffix(loss, ".")
	}
	found := Next
	if c.Meta.Online >= c.Meta.Needed && len(fenced) == 0 {
		found, s.Seen = Waiting, "the meta group elects a leader"
	}
	c.require(s, c.Meta.Leader != "" && len(fenced) == 0, found)
}

// removeReturned is for a fenced node that ran again for a moment: servers that were restarted
// since its removal take it back into the meta group.
func (c *checklist) removeReturned(fenced []string) {
	s := Step{Title: "Remove " + strings.Join(fenced, ", "), Why: "it counts in every majority", Seen: "the meta group still counts " + strings.Join(fenced, ", ")}
	for _, name := range fenced {
		s.Type = append(s.Type, "unibusd node remove "+name)
	}
	c.add(s, Next)
}

func (c *checklist) countdown() string {
	return fmt.Sprintf("the lower quorum ends in %s", max(0, c.Meta.RescueUntil.Time().Sub(c.now())).Round(time.Second))
}

// quorumEnds waits for the end of a lowered quorum that new members have kept. It ends by
// itself when the group is as small as the rescue assumed, and else by its time.
func (c *checklist) quorumEnds() {
	s := Step{Title: "The meta group has its own quorum again", Why: "while fewer than a majority decide, two parts of a cut cluster could decide each for itself", Seen: "no quorum is lowered"}
	if c.Meta.RescueUntil != 0 {
		s.Seen = c.countdown() + "; restart no node until then"
	}
	c.require(s, c.Meta.RescueUntil == 0, Waiting)
}

// missingReplicas names a bucket that has fewer replicas than it shall have; "" if none has.
func (c *checklist) missingReplicas() string {
	for _, b := range c.AllBuckets() {
		if len(b.Replicas) < b.Wanted {
			return fmt.Sprintf("%s has %d of %d replicas", b.Name, len(b.Replicas), b.Wanted)
		}
	}
	return ""
}

// refill has new nodes take the replicas of the lost ones.
func (c *checklist) refill(missing string) {
	c.require(Step{
		Title: "Every bucket has its replicas again", Why: "until then the next loss may be the loss of everything: take a backup first",
		Do: "give each new machine a name that no node had, and a certificate of it; have the others accept it, then start unibusd there with routes to the nodes that run; " +
			"or lower the number of replicas for good: unibusd bucket scale. See docs/operations/nodes.md",
		Type: []string{"unibusd backup --out FILE", "unibusd node add NAME"}, Seen: cmp.Or(missing, "every bucket has as many replicas as it shall have"),
	}, missing == "", Next)
}
