package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// judgeBuckets looks at the buckets of the control plane and those beside them.
// Without a majority, and for replicas on nodes that are away, all is said already.
func judgeBuckets(v View, now time.Time) []Finding {
	if v.At == 0 || v.Meta.Online < v.Meta.Needed {
		return nil
	}
	return slices.Concat(missingBuckets(v), leaderless(v, now), underReplicated(v), internalBehind(v), incomplete(v), staleReplicaFindings(v))
}

// serious is the level of what would be bad for a control plane in the
// buckets; while it is elsewhere it is worth a note.
func (v View) serious(l Level) Level {
	if v.onKV() {
		return l
	}
	return Note
}

// aboutBuckets is the About of a finding on one or several buckets.
func aboutBuckets(names []string) string {
	if len(names) == 1 {
		return "bucket." + names[0]
	}
	return "buckets"
}

func missingBuckets(v View) []Finding {
	var names []string
	for _, t := range core.Tables() {
		if !v.lost(t.Bucket()) && !slices.ContainsFunc(v.Buckets, func(b Bucket) bool { return b.Name == t.Bucket() }) {
			names = append(names, t.Bucket())
		}
	}
	switch {
	case len(names) == 0:
		return nil
	case !v.onKV() && len(names) == len(core.Tables()):
		return bucketsToCome(v)
	}
	if away := v.silent(); len(away) > 0 {
		text := fmt.Sprintf("%s cannot be seen. The missing data may be on the disk of %s.", subject(names), list(away, "or"))
		return []Finding{{v.serious(Critical), aboutBuckets(names), text, "change nothing before they are back; " + v.reviveAdvice(away, join(away))}}
	}
	text := fmt.Sprintf("%s %s not there, though every node answers: the data is lost unless a disk still has it.", subject(names), plural(len(names), "is", bucketsAre(names)))
	return []Finding{{v.serious(Critical), aboutBuckets(names), text, "create nothing; look at the disks and the logs of " + join(v.online()) + ", then follow docs/operations/restore.md, \"When streams were deleted\""}}
}

// bucketsToCome is for a cluster without buckets that does not need them yet. Where the nodes create them, noStore says so.
func bucketsToCome(v View) []Finding {
	if v.createsBuckets() {
		return nil
	}
	return []Finding{{Note, "buckets", "The five buckets do not exist yet: a migration to KV creates them.", v.migrateCommand(0)}}
}

func bucketsAre(names []string) string {
	if tables(names) == everyBucket {
		return "is"
	}
	return "are"
}

// leaderless finds buckets without a leader: while they are elected, and for longer.
func leaderless(v View, now time.Time) []Finding {
	var fs []Finding
	electing, dead := withoutLeader(v.Buckets, now)
	if len(dead) > 0 {
		fs = append(fs, leaderlessFinding(v, dead))
	}
	if len(electing) > 0 {
		fs = append(fs, electingFinding(v.serious(Degraded), electing))
	}
	return append(fs, leaderlessInternal(v, now)...)
}

// leaderlessInternal finds internal streams without a leader. One that was created just now is
// no worse than one that is still to be created, about which nothing is said.
func leaderlessInternal(v View, now time.Time) []Finding {
	var fs []Finding
	var creating []string
	var others []Bucket
	for _, b := range v.InternalBuckets {
		if b.Creating {
			creating = append(creating, b.Name)
		} else {
			others = append(others, b)
		}
	}
	if len(creating) > 0 {
		fs = append(fs, Finding{Note, aboutBuckets(creating), subject(creating) + " " + plural(len(creating), "is", "are") + " being created: the first leader is elected.", "wait; an election takes up to ten seconds"})
	}
	electing, dead := withoutLeader(others, now)
	for _, name := range dead {
		means := "operators' changes are refused, except for revocations"
		if what := recordOf(name); what != "" {
			means = what + " is not recorded until it has one, and each node keeps its own observations in memory"
		}
		fs = append(fs, Finding{Degraded, "bucket." + name, fmt.Sprintf("%s has no leader: %s.", short(name), means), startReplicas(v, []string{name})})
	}
	for _, name := range electing {
		if what := recordOf(name); what != "" && len(electing) == 1 {
			text := fmt.Sprintf("%s is electing a leader: until then %s waits to be recorded.", short(name), what)
			return append(fs, Finding{Degraded, "bucket." + name, text, "wait; an election takes up to ten seconds"})
		}
	}
	if len(electing) > 0 {
		fs = append(fs, electingFinding(Degraded, electing))
	}
	return fs
}

const eventStream = "UNIBUS_events"

// recordOf is what an internal stream records on which no decision depends: without it everything
// else goes on. "" for a stream without which changes are refused.
func recordOf(name string) string {
	switch name {
	case eventStream:
		return "the cluster's history"
	case core.LastSeenBucket:
		return "the time of each user's last session"
	}
	return ""
}

// withoutLeader returns the names of buckets that are electing a leader, and of those that
// should have elected one or cannot.
func withoutLeader(buckets []Bucket, now time.Time) (electing, dead []string) {
	for _, b := range buckets {
		switch {
		case b.Leader != "":
		case b.Since != 0 && Age(b.Since, now) < electionTime && b.liveReplicas() >= b.needed():
			electing = append(electing, b.Name)
		default:
			dead = append(dead, b.Name)
		}
	}
	return electing, dead
}

func electingFinding(level Level, names []string) Finding {
	text := fmt.Sprintf("%s %s electing a leader", subject(names), plural(len(names), "is", bucketsAre(names)))
	if level != Note { // else the buckets are not in use
		text += ": until then changes wait, or are refused"
	}
	return Finding{level, aboutBuckets(names), text + ".", "wait; an election takes up to ten seconds"}
}

func leaderlessFinding(v View, names []string) Finding {
	level, means := Critical, "writes to "+plural(len(names), "it", "them")+" fail, and requests that depend on "+plural(len(names), "it", "them")+" are refused"
	if !v.onKV() {
		level, means = Degraded, "no move is possible"
	}
	text := fmt.Sprintf("%s %s no leader: %s.", subject(names), plural(len(names), "has", "have"), means)
	if tables(names) == everyBucket {
		text = "No bucket has a leader: " + means + "."
	}
	return Finding{level, aboutBuckets(names), text, startReplicas(v, names)}
}

func bucketsHave(names []string) string {
	if tables(names) == everyBucket {
		return "has"
	}
	return "have"
}

// startReplicas says which silent nodes hold replicas of the buckets.
func startReplicas(v View, names []string) string {
	var silent []string
	for _, b := range slices.Concat(v.Buckets, v.InternalBuckets) {
		for _, r := range b.Replicas {
			if slices.Contains(names, b.Name) && slices.Contains(v.silent(), r.Node) && !slices.Contains(silent, r.Node) {
				silent = append(silent, r.Node)
			}
		}
	}
	if len(silent) == 0 {
		return fmt.Sprintf("check that %s reach each other on their cluster ports; if they do, restart unibusd on %s", join(v.online()), v.online()[0])
	}
	return v.reviveAdvice(silent, join(silent))
}

// underReplicated finds buckets with fewer replicas than the cluster could give them.
func underReplicated(v View) []Finding {
	target := min(3, v.Expected)
	for _, n := range v.Nodes {
		if n.Info != nil {
			target = max(target, min(n.Info.Replicas, v.Expected))
		}
	}
	byWanted := map[int][]Bucket{}
	for _, b := range v.Buckets {
		if b.Wanted < target {
			byWanted[b.Wanted] = append(byWanted[b.Wanted], b)
		}
	}
	var fs []Finding
	for r := range target {
		if bs := byWanted[r]; len(bs) > 0 {
			fs = append(fs, underReplicatedFinding(v, r, target, bs))
		}
	}
	return fs
}

// internalBehind finds internal buckets with fewer replicas than the five: they decide
// then how many nodes may stop, because without them nothing can be changed.
func internalBehind(v View) []Finding {
	wanted := 0
	for i, b := range v.Buckets {
		if i == 0 || b.Wanted < wanted {
			wanted = b.Wanted
		}
	}
	var names []string
	for _, b := range v.InternalBuckets {
		if b.Wanted > 0 && b.Wanted < wanted {
			names = append(names, b.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	without := "nothing can be changed"
	if what := recordOf(names[0]); what != "" && len(names) == 1 {
		without = what + " is not recorded"
	}
	return []Finding{{
		v.serious(Degraded), aboutBuckets(names),
		fmt.Sprintf("%s %s fewer replicas than the control plane, which has %d: without %s %s.",
			subject(names), plural(len(names), "has", "have"), wanted, plural(len(names), "it", "them"), without),
		fmt.Sprintf("unibusd bucket scale --replicas %d", wanted),
	}}
}

func underReplicatedFinding(v View, r, target int, bs []Bucket) Finding {
	var names, nodes []string
	for _, b := range bs {
		names = append(names, b.Name)
		for _, rep := range b.Replicas {
			if !slices.Contains(nodes, rep.Node) {
				nodes = append(nodes, rep.Node)
			}
		}
	}
	slices.Sort(nodes)
	text := fmt.Sprintf("%s %s %s %s", subject(names), plural(len(names), "has", bucketsHave(names)), number(r), plural(r, "replica", "replicas"))
	f := Finding{v.serious(Degraded), aboutBuckets(names), text + ".", fmt.Sprintf("unibusd bucket scale --replicas %d", target)}
	switch {
	case !v.onKV():
		f.Text += " A migration raises them first."
		f.Next = v.migrateCommand(target)
	case r == 1 && len(nodes) > 0:
		f.Text = text + fmt.Sprintf(": if %s is lost, it is lost.", either(nodes))
		if len(names) > 1 {
			f.Text = text + fmt.Sprintf(": if %s is lost, their data is lost.", either(nodes))
		}
	case r == 2:
		f.Text = text + ": when one of its nodes stops, it cannot be written."
	}
	return f
}

// incomplete finds buckets that are being raised or moved.
func incomplete(v View) []Finding {
	fs := tooFewNodes(v)
	for _, b := range v.Buckets {
		if len(b.Replicas) >= b.Wanted && b.Waiting == "" || len(b.Replicas) >= v.Expected && len(b.Replicas) < b.Wanted {
			continue
		}
		text := fmt.Sprintf("%s has %d of %d replicas", short(b.Name), len(b.Replicas), b.Wanted)
		if b.Waiting != "" {
			text += " and waits: " + b.Waiting
		}
		level := v.serious(Degraded)
		if len(b.Replicas) >= b.Wanted {
			level = Note // all are there, the servers are about to tell each other
		}
		fs = append(fs, Finding{level, "bucket." + b.Name, text + ".", "wait; a replica is copied within seconds to minutes"})
	}
	return fs
}

// tooFewNodes finds buckets that want more replicas than there are nodes, as after one was removed.
func tooFewNodes(v View) []Finding {
	var names []string
	wanted := 0
	for _, b := range v.Buckets {
		if len(b.Replicas) < b.Wanted && b.Wanted > v.Expected {
			names, wanted = append(names, b.Name), max(wanted, b.Wanted)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{{
		v.serious(Degraded), aboutBuckets(names),
		fmt.Sprintf("%s %s %s replicas, and the cluster has %s: a replica is created as soon as another node joins.",
			subject(names), plural(len(names), "wants", bucketsWant(names)), number(wanted), number(v.Expected)+" "+plural(v.Expected, "node", "nodes")),
		"give a machine a name that no node had, and add it: unibusd node add NAME",
	}}
}

func bucketsWant(names []string) string {
	if tables(names) == everyBucket {
		return "wants"
	}
	return "want"
}

// staleReplicaFindings finds replicas that are not what they should be though their node
// answers, one finding for all the buckets of which the same is true.
func staleReplicaFindings(v View) []Finding {
	byReplica := map[staleReplica]*staleReplicas{}
	var order []*staleReplicas
	for _, b := range slices.Concat(v.Buckets, v.InternalBuckets) {
		for _, r := range b.Replicas {
			n, known := v.node(r.Node)
			if b.Leader == "" || v.isCut(r.Node, b.Leader) || (known && (!n.Online || n.Off)) || (!known && v.neverHeard() > 0) || (known && r.settled() == ReplicaCurrent) {
				continue
			}
			key := staleReplica{r.Node, b.Leader, r.State, known}
			if byReplica[key] == nil {
				byReplica[key] = &staleReplicas{staleReplica: key}
				order = append(order, byReplica[key])
			}
			byReplica[key].buckets = append(byReplica[key].buckets, b.Name)
			byReplica[key].lag = max(byReplica[key].lag, r.Lag)
		}
	}
	var fs []Finding
	for _, l := range order {
		text, next := l.describe()
		fs = append(fs, Finding{v.serious(Degraded), aboutBuckets(l.buckets), text, next})
	}
	return fs
}

// staleReplica is a replica that is not current, under one leader.
type staleReplica struct {
	node, leader string
	state        ReplicaState
	known        bool // the node is
}

// staleReplicas are the buckets of which that is true.
type staleReplicas struct {
	staleReplica
	buckets []string
	lag     uint64
}

func (l staleReplicas) describe() (text, next string) {
	names := tables(l.buckets)
	switch {
	case !l.known:
		return fmt.Sprintf("%s %s a replica at %s, which is not a known node: it counts in the quorum, and does not answer.", subject(l.buckets), plural(len(l.buckets), "has", bucketsHave(l.buckets)), l.node),
			"start that node again; if it is gone for good, remove it: unibusd node remove " + nodeArgument(l.node)
	case l.state == ReplicaBehind:
		return fmt.Sprintf("%s is up to %d operations behind %s in %s: until it has caught up it replaces no other replica.", l.node, l.lag, l.leader, names),
			"wait; if it does not get less, look at the disk and the network of " + l.node
	case l.state == ReplicaOffline:
		return fmt.Sprintf("%s answers, but %s, which leads %s, does not reach it: its replica falls behind.", l.node, l.leader, names),
			fmt.Sprintf("check that %s and %s reach each other on their cluster ports", l.leader, l.node)
	}
	return fmt.Sprintf("No node reports how current the replica of %s on %s is: it does not count as current.", names, l.node),
		"wait a few seconds; if this stays, restart unibusd on " + l.node
}

// nodeArgument is a node's name in a command, NAME where it is not known.
func nodeArgument(name string) string {
	if validName(name) {
		return name
	}
	return "NAME"
}
