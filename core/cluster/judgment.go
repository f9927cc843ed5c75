package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// electionTime is how long a group may be without a leader while its nodes
// elect one: elections take 4 to 9 s, a lost leader is noticed after 10 s at the most.
const electionTime = 15 * time.Second

// Judge says what a View means: the verdict, the sentence that an operator reads
// first, what to do, and every finding, worst first. It is pure.
func Judge(v View, now time.Time) Judgment {
	var fs []Finding
	if v.Clustered {
		fs = slices.Concat(judgeUnknown(v), judgeDuplicateNames(v), judgeLostStreams(v), judgeNodes(v), judgeRoutes(v, now), judgeMeta(v, now), judgeBuckets(v, now), judgeMaintenance(v, now)) // causes before what follows from them
	}
	if v.founding() { // what is missing, is missing because of that
		fs = slices.Concat(judgeUnknown(v), judgeDuplicateNames(v), judgeFounding(v), judgeConfig(v, now), judgeNotes(v))
	} else {
		fs = slices.Concat(fs, judgeAuthority(v), judgeConfig(v, now), judgeRestore(v, now), judgeBackups(v, now), judgeLogs(v, now), judgeNotes(v))
	}
	fs = joinSameStep(fs)
	slices.SortStableFunc(fs, func(a, b Finding) int { return b.Level.rank() - a.Level.rank() })
	j := Judgment{Verdict: Healthy, Findings: fs}
	if fs == nil {
		j.Findings = []Finding{}
	}
	if len(fs) > 0 && fs[0].Level != Note {
		j.Verdict = fs[0].Level
	}
	j.Sentence, j.Do = headline(v, fs, now)
	if v.Moving != "" {
		j.Sentence += " A move is at " + v.Moving + "."
	}
	return j
}

// joinSameStep makes one note of those that end in the migration, and drops them beside a worse finding that does: one
// incident is one advice.
func joinSameStep(fs []Finding) []Finding {
	migrates := func(f Finding) bool { return strings.Contains(f.Next, migrateProgram) }
	isSaid := slices.ContainsFunc(fs, func(f Finding) bool { return f.Level != Note && migrates(f) })
	var out []Finding
	note := -1 // the place of the one that the others join
	for _, f := range fs {
		switch isNote := f.Level == Note && migrates(f); {
		case isNote && isSaid:
		case isNote && note >= 0:
			out[note] = joinMigrationNotes(out[note], f)
		case isNote:
			note, out = len(out), append(out, f)
		default:
			out = append(out, f)
		}
	}
	return out
}

// joinMigrationNotes is one note of two. Declared notes come first, and the step with the replicas is the whole one.
func joinMigrationNotes(detail, declared Finding) Finding {
	declared.Text += " " + detail.Text
	if strings.Contains(detail.Next, "--replicas") {
		declared.Next = "migrate it: " + detail.Next
	}
	return declared
}

// IsWorseThan compares two levels.
func (l Level) IsWorseThan(other Level) bool { return l.rank() > other.rank() }

// rank orders levels, the worst highest.
func (l Level) rank() int { return slices.Index([]Level{Healthy, Note, Degraded, Critical}, l) }

// headline is the worst finding's text and how many more there are; without one, that all is well.
func headline(v View, fs []Finding, now time.Time) (sentence, do string) {
	bad := slices.IndexFunc(fs, func(f Finding) bool { return f.Level == Note })
	if bad < 0 {
		bad = len(fs)
	}
	if bad == 0 {
		return allWellWith(v, now), ""
	}
	sentence = fs[0].Text
	switch more := bad - 1; {
	case more == 1:
		sentence += " There is one more finding."
	case more > 1:
		sentence += fmt.Sprintf(" There are %s more findings.", number(more))
	}
	return sentence, fs[0].Next
}

// allWellWith is allWell, after the nodes that are in maintenance.
func allWellWith(v View, now time.Time) string {
	var texts []string
	for _, f := range judgeMaintenance(v, now) {
		texts = append(texts, f.Text)
	}
	if len(v.silent()) == 0 {
		texts = append(texts, allWell(v))
	}
	return strings.Join(texts, " ")
}

// allWell describes a cluster in which nothing is wrong.
func allWell(v View) string {
	if !v.Clustered {
		return single(v)
	}
	nodes := capital(all(v.Expected)) + " nodes answer"
	if !v.onKV() {
		return nodes + ". " + onOneFile(v)
	}
	return fmt.Sprintf("%s and every bucket has %s. %s", nodes, replicas(v), mayStop(v.tolerableStops()))
}

func single(v View) string {
	switch v.Serving.Backend {
	case core.BackendSQLite:
		return fmt.Sprintf("%s serves the control plane from its SQLite file. It is the only node: while it is stopped, new connections are refused.", v.From)
	case core.BackendKV:
		return fmt.Sprintf("%s serves the control plane and is the only node: while it is stopped, new connections are refused.", v.From)
	}
	return fmt.Sprintf("%s is the only node.", v.From)
}

// onOneFile says who holds the control plane while it is not replicated.
func onOneFile(v View) string {
	holders := v.sqliteNodes()
	if of := v.onSQLite(); of != "" {
		holders = []string{of}
	}
	if len(holders) == 0 {
		return "The control plane is not in the buckets. " + mayStop(v.tolerableStops())
	}
	text := fmt.Sprintf("The control plane is SQLite on %s alone: while that node is stopped, new connections are refused.", join(holders))
	if may := nodesThatMayStop(v); len(may) > 0 {
		text += fmt.Sprintf(" %s may stop.", capital(anyOf(may), v.online()...))
	}
	return text
}

func anyOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "either of " + join(names)
}

// replicas says how many copies every bucket has, where they are as many.
func replicas(v View) string {
	least := 0
	for i, b := range v.AllBuckets() {
		if i == 0 || b.liveReplicas() < least {
			least = b.liveReplicas()
		}
	}
	return fmt.Sprintf("%s current %s", number(least), plural(least, "replica", "replicas"))
}

func mayStop(k int) string {
	switch k {
	case 0:
		return "No node may stop."
	case 1:
		return "Any one node may stop."
	}
	return fmt.Sprintf("Any %s nodes may stop.", number(k))
}

// judgeMeta looks at JetStream's own group: enough nodes, one leader, no orphans.
func judgeMeta(v View, now time.Time) []Finding {
	if fs := judgeRescue(v, now); len(fs) > 0 && len(v.Meta.Leaders) <= 1 && v.At != 0 {
		return fs
	}
	switch m := v.Meta; {
	case v.At == 0:
		return []Finding{{Degraded, "meta", v.From + " has not heard from any node yet: nothing is known of the cluster.", "wait a few seconds; if this stays, read the log of " + v.From}}
	case len(m.Leaders) > 1:
		return append(orphanPeerFindings(v), Finding{
			Critical, "meta",
			fmt.Sprintf("%s each claim to lead the meta group. The cluster may be split, and writes that one of them accepts may be lost.", join(m.Leaders)),
			fmt.Sprintf("check that %s reach each other on their cluster ports, and change nothing until one leads", join(m.Leaders)),
		})
	case m.Online < m.Needed:
		return append(orphanPeerFindings(v), majorityLost(v, now))
	case m.Leader == "":
		return append(orphanPeerFindings(v), noLeader(v, now))
	}
	return orphanPeerFindings(v)
}

// noLeader is for a meta group that could elect a leader and has none.
func noLeader(v View, now time.Time) Finding {
	m := v.Meta
	enough := fmt.Sprintf("%d of %d nodes answer and %d are needed", m.Online, m.Size, m.Needed)
	if began := max(m.Since, m.OnlineSince); began != 0 && Age(began, now) < electionTime {
		return Finding{
			Degraded, "meta",
			fmt.Sprintf("The meta group is electing a leader (since %s). %s: this takes seconds.", clock(began, now), enough), "wait; an election takes up to ten seconds",
		}
	}
	since, last := "", ""
	if m.Since != 0 {
		since = " for " + span(Age(m.Since, now))
	}
	if m.Last != "" {
		last = " (" + m.Last + " was the last)"
	}
	return Finding{
		Critical, "meta",
		fmt.Sprintf("The meta group has had no leader%s%s, though %s: no bucket can be created, raised or moved.", since, last, enough),
		fmt.Sprintf("check that %s reach each other on their cluster ports; if they do, restart unibusd on %s", join(v.online()), cmp.Or(m.Last, v.From)),
	}
}

func orphanPeerFindings(v View) []Finding {
	n := len(v.Meta.OrphanPeers)
	if n == 0 {
		return nil
	}
	return []Finding{{
		Degraded, "meta",
		fmt.Sprintf("The meta group has %d members and %d nodes are configured: %s %s. %s in the quorum: %d are needed.",
			v.Meta.Size, v.Expected, join(v.Meta.OrphanPeers), plural(n, "is not a configured node", "are not configured nodes"), plural(n, "It counts", "They count"), v.Meta.Needed),
		removeOrphan(v.Meta.OrphanPeers[0], v.Removed),
	}}
}

// removeOrphan says how one peer that is no node leaves the meta group. A removal that
// was interrupted is repeated.
func removeOrphan(peer string, removed []core.NodeChange) string {
	if slices.ContainsFunc(removed, func(c core.NodeChange) bool { return c.Name == peer }) {
		return "complete its removal: unibusd node remove " + peer
	}
	if !validName(peer) {
		return "start that node again, or remove it by the name that it had: unibusd node remove NAME"
	}
	return fmt.Sprintf("start %s again, or remove it for good: unibusd node remove %s", peer, peer)
}

// majorityLost is the worst that happens: too few nodes to agree on anything.
func majorityLost(v View, now time.Time) Finding {
	m := v.Meta
	means, serving := v.meaning()
	text := fmt.Sprintf("%s. The meta group needs %d of %d and has %d: %s", whoIsSilent(v), m.Needed, m.Size, m.Online, means)
	if m.Since != 0 {
		text += fmt.Sprintf(" (since %s)", clock(m.Since, now))
	}
	text += "."
	if serving != "" {
		text += fmt.Sprintf(" SQLite on %s goes on serving.", serving)
	}
	if on := v.withSessions(v.online()); len(on) > 0 && (v.onKV() || v.onSQLite() != "" && !slices.Contains(on, v.onSQLite())) {
		text += fmt.Sprintf(" Sessions on %s go on.", join(on))
	}
	short := m.Needed - m.Online
	silent := v.silent()
	if off := v.off(); len(off) > 0 && len(silent) < short {
		return Finding{Critical, "meta", text, fmt.Sprintf("free disk space on the disks of %s, and restart unibusd there", join(off)) + guided("disk-full")}
	}
	if len(silent)+v.neverHeard() == 0 {
		return Finding{Critical, "meta", text, "read the log of " + join(v.online()) + ": JetStream has not started there"}
	}
	if len(silent) < short {
		return Finding{Critical, "meta", text, fmt.Sprintf("start unibusd on %s more %s of routes", number(short), plural(short, "node", "nodes")) + guided("quorum-lost")}
	}
	which := either(silent)
	switch {
	case short == len(silent):
		which = join(silent)
	case short > 1:
		which = number(short) + " of " + join(silent)
	}
	if v.onKV() {
		text += fmt.Sprintf(" Nothing is lost while the %s of %s exist%s.", plural(len(silent), "disk", "disks"), which, plural(len(silent), "s", ""))
	}
	next := v.reviveAdvice(silent, which)
	if strings.HasPrefix(next, "start ") { // the guide starts nodes, and mends no routes
		next += guided("quorum-lost")
	}
	return Finding{Critical, "meta", text, next}
}

// meaning says what the want of a majority does to users, and where SQLite serves in spite of it.
func (v View) meaning() (means, serving string) {
	holder := v.onSQLite()
	switch {
	case holder == "" && v.noRecord() && len(v.sqliteNodes()) > 0:
		return "no move is possible", join(v.sqliteNodes())
	case holder == "" || !slices.Contains(v.online(), holder):
		return "writes fail, and new connections are refused", ""
	}
	return "no move is possible", holder
}

// whoIsSilent names the nodes that do not answer, and counts those that were never heard.
func whoIsSilent(v View) string {
	silent, n := v.silent(), v.neverHeard()
	parts := []string{}
	if len(silent) > 0 {
		parts = append(parts, fmt.Sprintf("%s %s not answer%s", join(silent), plural(len(silent), "does", "do"), v.causesOf(silent)))
	}
	if n > 0 {
		parts = append(parts, fmt.Sprintf("%s configured %s never answered%s", number(n), plural(n, "node has", "nodes have"), v.neverReachedCauses()))
	}
	if off := v.off(); len(off) > 0 {
		parts = append(parts, "JetStream is off on "+join(off))
	}
	if len(parts) == 0 {
		return "The nodes answer and are not in the meta group"
	}
	return capital(strings.Join(parts, " and "), silent...)
}
