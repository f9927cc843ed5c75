package cluster

import (
	"fmt"
	"slices"
	"strings"

	"unibus/core"
)

// lagTolerated is how many operations a replica may be behind and still count
// as current: under load that is what is on its way.
const lagTolerated = 100

// authority is the record or, where that cannot be read, the newest one that a
// node's journal holds; backend none where there is neither.
func (v View) authority() core.Authority {
	if v.Authority != nil {
		return *v.Authority
	}
	best := core.Authority{Backend: core.BackendNone}
	for _, n := range v.Nodes {
		if n.Info != nil && n.Info.Journal != nil && n.Info.Journal.Generation >= best.Generation {
			best = *n.Info.Journal
		}
	}
	return best
}

// onKV is true where the replicated buckets are the control plane: by the
// record, or without one because that is what the nodes serve.
func (v View) onKV() bool {
	if !v.noRecord() {
		return v.authority().Backend == core.BackendKV
	}
	return slices.ContainsFunc(v.Nodes, func(n Node) bool { return n.Online && v.servingOf(n).Backend == core.BackendKV })
}

// onSQLite is the node whose SQLite file is the control plane by the record, "" where there is none.
func (v View) onSQLite() string {
	if a := v.authority(); a.Backend == core.BackendSQLite {
		return a.Node
	}
	return ""
}

// noRecord is true where nothing says who the control plane is: each node serves what its --store says.
func (v View) noRecord() bool { return v.authority().Backend == core.BackendNone }

// sqliteNodes are the online nodes that serve SQLite now.
func (v View) sqliteNodes() []string {
	var out []string
	for _, n := range v.Nodes {
		if v.servingOf(n).Backend == core.BackendSQLite && n.Online {
			out = append(out, n.Name)
		}
	}
	return out
}

// servingOf is what a node serves, as far as is known.
func (v View) servingOf(n Node) Serving {
	switch {
	case n.Name == v.From:
		return v.Serving
	case n.Info != nil:
		return n.Info.Serving
	}
	return Serving{}
}

// online and silent are the names of the nodes that answer, and of those that do not.
func (v View) online() []string { return v.names(true) }
func (v View) silent() []string { return v.names(false) }

// off are the nodes that answer and have turned JetStream off.
func (v View) off() []string {
	var out []string
	for _, n := range v.Nodes {
		if n.Online && n.Off {
			out = append(out, n.Name)
		}
	}
	return out
}

func (v View) names(online bool) []string {
	out := []string{}
	for _, n := range v.Nodes {
		if n.Online == online {
			out = append(out, n.Name)
		}
	}
	return out
}

func (v View) node(name string) (Node, bool) {
	i := slices.IndexFunc(v.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return v.Nodes[i], true
}

// neverHeard is how many configured nodes were never heard.
func (v View) neverHeard() int { return max(0, v.Expected-len(v.Nodes)) }

// IsElecting is true while a group has a majority and no leader that answers, or has elected
// one just now: a request that failed for want of a leader is worth another try. An election
// that should be over is none.
func (v View) IsElecting() bool {
	elects := func(leader string, since core.Millis) bool {
		n, known := v.node(leader)
		return known && !n.Online || since != 0 && Age(since, v.At.Time()) < electionTime
	}
	if !v.Clustered || v.Meta.Online < v.Meta.Needed {
		return false
	}
	return elects(v.Meta.Leader, max(v.Meta.Since, v.Meta.OnlineSince)) || slices.ContainsFunc(v.AllBuckets(), func(b Bucket) bool {
		return b.liveReplicas() >= b.needed() && elects(b.Leader, b.Since)
	})
}

// liveReplicas is how many replicas of a bucket can take part in a decision.
func (b Bucket) liveReplicas() int {
	n := 0
	for _, r := range b.Replicas {
		if r.takesPart() {
			n++
		}
	}
	return n
}

func (r Replica) takesPart() bool { return r.State != ReplicaOffline && r.Lag <= lagTolerated }

func (b Bucket) size() int   { return max(1, len(b.Replicas)) }
func (b Bucket) needed() int { return b.size()/2 + 1 }

// stopsWithout is true where the bucket works now and would not without a node.
func (v View) stopsWithout(b Bucket, node string) bool {
	live := b.live()
	return slices.Contains(live, node) && largestGroup(live, v.isCut) >= b.needed() && largestGroup(without(live, node), v.isCut) < b.needed()
}

// live are the nodes whose replica can take part in a decision.
func (b Bucket) live() []string {
	var out []string
	for _, r := range b.Replicas {
		if r.takesPart() {
			out = append(out, r.Node)
		}
	}
	return out
}

// members are the nodes that answer and take part in the meta group.
func (v View) members() []string {
	var out []string
	for _, n := range v.Nodes {
		if n.Online && !n.Off {
			out = append(out, n.Name)
		}
	}
	return out
}

func without(nodes []string, node string) []string {
	return slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == node })
}

// manyNodes is up to how many nodes every choice of those that stop is tried.
const manyNodes = 7

// spare is how many of the nodes may stop, whichever they are, and those that are left
// still agree. With a cut it matters which: no node passes messages on.
func (v View) spare(nodes []string, count, needed int) int {
	if len(v.cuts()) == 0 {
		return count - needed
	}
	switch {
	case largestGroup(nodes, v.isCut) < needed:
		return -1
	case len(nodes) > manyNodes:
		return 0 // too many to try every choice
	}
	least := len(nodes)
	for _, n := range nodes {
		left := without(nodes, n)
		least = min(least, v.spare(left, len(left), needed)+1)
	}
	return least
}

// tolerableStops is how many nodes may stop, whichever they are, before the meta group
// or a bucket has no quorum; never below 0. The internal buckets count: without the
// control record, the nonces or the audit nothing can be changed either.
func (v View) tolerableStops() int {
	k := v.spare(v.members(), v.Meta.Online, v.Meta.Needed)
	for _, b := range v.deciding(v.onKV()) {
		k = min(k, v.spare(b.live(), b.liveReplicas(), b.needed()))
	}
	return max(0, k)
}

// deciding are the buckets without which something stops: the internal ones whatever the
// backend is, and those of the tables where these are in use. Without the records of events and of sessions everything goes on.
func (v View) deciding(tables bool) []Bucket {
	all := v.InternalBuckets
	if tables {
		all = v.AllBuckets()
	}
	return slices.DeleteFunc(slices.Clone(all), func(b Bucket) bool { return recordOf(b.Name) != "" })
}

// loss is what ends when one node stops.
type loss struct {
	meta    bool     // the meta group has no quorum any more
	buckets []string // these have none any more
	store   bool     // it alone serves the control plane, from SQLite
}

func (l loss) nothing() bool { return !l.meta && len(l.buckets) == 0 && !l.store }

// lossOf works out what ends when an online node stops.
func (v View) lossOf(node string) loss {
	l := loss{meta: v.Clustered && v.Meta.Online >= v.Meta.Needed && v.membersWithout(node) < v.Meta.Needed}
	for _, b := range v.deciding(v.onKV() || v.Moving != "") {
		if v.stopsWithout(b, node) {
			l.buckets = append(l.buckets, b.Name)
		}
	}
	if of := v.onSQLite(); of != "" {
		l.store = of == node
	} else if v.noRecord() {
		l.store = slices.Equal(v.sqliteNodes(), []string{node})
	}
	return l
}

// membersWithout is how many members of the meta group are left where a node stops; one
// whose JetStream is off is none of them already.
func (v View) membersWithout(node string) int {
	if n, ok := v.node(node); ok && n.Off {
		return v.Meta.Online
	}
	if len(v.cuts()) == 0 {
		return v.Meta.Online - 1
	}
	return largestGroup(without(v.members(), node), v.isCut)
}

// nodesThatMayStop returns the nodes of which any one may stop, and nothing that works now ends.
func nodesThatMayStop(v View) []string {
	var out []string
	if !v.Clustered || v.At == 0 || v.Meta.Online < v.Meta.Needed {
		return nil
	}
	for _, n := range v.online() {
		if l := v.lossOf(n); l.nothing() {
			out = append(out, n)
		}
	}
	return out
}

// Impact says in a sentence what ends when a node stops, for those who are about to stop it.
func Impact(v View, node string) string {
	n, ok := v.node(node)
	switch {
	case !ok:
		return fmt.Sprintf("%s is not known here.", node)
	case !v.Clustered:
		return fmt.Sprintf("If %s stops, everything stops: it is the only node.", node)
	case !n.Online && v.Meta.Online < v.Meta.Needed:
		return fmt.Sprintf("%s does not answer, and %d of %d nodes %s too few: %d are needed.", node, v.Meta.Online, v.Meta.Size, plural(v.Meta.Online, "is", "are"), v.Meta.Needed)
	case !n.Online:
		return fmt.Sprintf("%s does not answer. The others go on without it: %d of %d, %d needed.", node, v.Meta.Online, v.Meta.Size, v.Meta.Needed)
	}
	l := v.lossOf(node)
	if v.Meta.Online < v.Meta.Needed && !l.store {
		return fmt.Sprintf("If %s stops, its sessions end. Too few nodes answer already: %d of %d, %d needed.", node, v.Meta.Online, v.Meta.Size, v.Meta.Needed)
	}
	if l.nothing() {
		return fmt.Sprintf("If %s stops, everything goes on: %d of %d nodes stay, %d are needed.%s",
			node, v.membersWithout(node), v.Meta.Size, v.Meta.Needed, handover(n))
	}
	return fmt.Sprintf("If %s stops, %s.", node, v.consequence(l, node))
}

// StopPlan lists the groups and sessions that end, or move, when a node stops.
type StopPlan struct {
	Node     string   `json:"node"`
	Safe     bool     `json:"safe"`     // nothing that works now ends, but for the node's own sessions
	Text     string   `json:"text"`     // the whole as a sentence, as Impact says it
	Lost     []string `json:"lost"`     // groups that would have no quorum: meta, or buckets
	Moves    []string `json:"moves"`    // groups that another node would lead
	Sessions int      `json:"sessions"` // of users, who connect to another node
}

// PlanStop works out what happens when a node stops. KindNotFound.
func PlanStop(v View, node string) (StopPlan, error) {
	n, ok := v.node(node)
	if !ok {
		return StopPlan{}, core.Errorf(core.KindNotFound, "no node is named %s", node).WithNext("unibusd node list")
	}
	l := v.lossOf(node)
	p := StopPlan{Node: node, Text: Impact(v, node), Lost: []string{}, Moves: []string{}, Sessions: n.Conns}
	p.Safe = v.Clustered && (!n.Online || l.nothing() && v.Meta.Online >= v.Meta.Needed)
	if l.meta {
		p.Lost = append(p.Lost, "meta")
	}
	p.Lost = append(p.Lost, l.buckets...)
	if l.store {
		p.Lost = append(p.Lost, "control plane (SQLite)")
	}
	if n.Meta == "leader" {
		p.Moves = append(p.Moves, "meta")
	}
	p.Moves = append(p.Moves, n.Leads...)
	return p, nil
}

// handover says what a node leads and others take over.
func handover(n Node) string {
	leads := []string{}
	if n.Meta == "leader" {
		leads = append(leads, "the meta group")
	}
	leads = append(leads, n.Leads...)
	if len(leads) == 0 {
		return ""
	}
	return fmt.Sprintf(" Another node takes over %s within seconds.", join(leads))
}

// consequence is the part of a sentence that says what a loss means.
func (v View) consequence(l loss, node string) string {
	parts := []string{}
	if l.meta {
		parts = append(parts, fmt.Sprintf("the meta group has %d of %d and needs %d", v.membersWithout(node), v.Meta.Size, v.Meta.Needed))
	}
	if len(l.buckets) > 0 {
		parts = append(parts, tables(l.buckets)+" "+plural(len(l.buckets), "stops", bucketsStop(l.buckets)))
	}
	if l.store {
		parts = append(parts, "no node serves the control plane, which is SQLite on "+node)
	}
	text := strings.Join(parts, ", and ")
	switch {
	case l.store, len(l.buckets) > 0 && v.onKV():
		return text + ": writes fail, and new connections are refused"
	case l.meta && v.onKV():
		return text + ": no bucket can be created, raised or moved"
	case slices.ContainsFunc(v.InternalBuckets, func(b Bucket) bool { return slices.Contains(l.buckets, b.Name) }):
		return text + ": operators' and users' changes are refused, except for revocations"
	}
	return text + ": no move is possible"
}

// bucketsStop is the verb after several buckets: "every bucket stops", "users and rooms stop".
func bucketsStop(buckets []string) string {
	if tables(buckets) == everyBucket {
		return "stops"
	}
	return "stop"
}

// IsSilent is true of a node that is known and does not answer.
func (v View) IsSilent(node string) bool { return slices.Contains(v.silent(), node) }
