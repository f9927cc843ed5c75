package cluster

import (
	"fmt"
	"slices"
	"strings"

	"unibus/core"
)

// nobodyServes is for nodes that serve no control plane and should.
func nobodyServes(v View) []Finding {
	if v.isSwitching() || v.Meta.Online < v.Meta.Needed || (v.onSQLite() != "" && slices.Contains(v.silent(), v.onSQLite())) {
		return nil // said already, or the nodes are swapping at this moment
	}
	var none []Node
	serving := 0
	for _, n := range v.Nodes {
		switch sv := v.servingOf(n); {
		case !n.Online || sv.Backend == "":
		case sv.Backend == core.BackendNone:
			none = append(none, n)
		default:
			serving++
		}
	}
	switch {
	case len(none) > 0 && serving == 0:
		return []Finding{noStore(v, none)}
	case len(none) > 0 && v.onKV() && len(v.sqliteNodes()) == 0:
		var names []string
		for _, n := range none {
			names = append(names, n.Name)
		}
		return []Finding{{
			Degraded, "authority", fmt.Sprintf("%s %s the control plane yet%s. New connections are refused there.", join(names), plural(len(none), "does not serve", "do not serve"), because(v.servingOf(none[0]).Reason)),
			"wait a few seconds; if this stays, read the log of " + none[0].Name,
		}}
	}
	return nil
}

// isSwitching is true while a migration may be exchanging the store in force. A node stops serving the old store
// before its state says cutover, so that the last seen state may be the fence, which lasts seconds.
func (v View) isSwitching() bool {
	return slices.Contains([]string{"fence", "cutover", "rollback"}, v.Moving)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// noStore says why no node serves a control plane. A node that is away and had the file, or
// may have it, counts before one that answers and never had it.
func noStore(v View, none []Node) Finding {
	const means = " New connections are refused, and writes fail."
	f := Finding{Level: Critical, About: "authority"}
	away := v.silentHolders()
	switch {
	case v.createsBuckets():
		f.Text = "The control plane does not exist yet: the nodes create its buckets once the meta group has a leader." + means
		f.Next = v.awaitFirstLeader(none[0].Name)
	case v.noRecord() && len(away) > 0:
		f.Text = fmt.Sprintf("No node that answers has the database of the control plane. %s %s not answer, and %s.%s",
			join(away), plural(len(away), "does", "do"), v.mayHave(away), means)
		f.Next = "start unibusd on " + join(away)
	default:
		at := none[0]
		for _, n := range none {
			if n.Name == v.onSQLite() {
				at = n
			}
		}
		sv := v.servingOf(at)
		f.Text = "No node serves a control plane" + because(sv.Reason) + "." + means
		f.Next = "read the log of " + at.Name
		if sv.Next != "" {
			f.Next = sv.Next
		}
		if v.Clustered && v.Meta.Leader == "" && len(v.silent())+v.neverHeard() == 0 { // no node is missing
			f.Next = "wait; an election takes up to ten seconds"
			break
		}
		if !strings.Contains(f.Next, at.Name) {
			f.Next = "on " + at.Name + ": " + f.Next
		}
	}
	return f
}

// createsBuckets is true of a new cluster whose nodes are configured for KV and have not made it yet.
func (v View) createsBuckets() bool {
	infos := v.infos()
	return v.Clustered && v.noRecord() && len(v.Buckets) == 0 && len(v.Lost) == 0 && len(infos) > 0 &&
		len(namesWhere(infos, func(i Info) bool { return i.Store != core.BackendKV })) == 0
}

// awaitFirstLeader says what a new cluster waits for: it elects no leader before every
// node of the routes has been up once.
func (v View) awaitFirstLeader(node string) string {
	if v.Meta.Leader != "" {
		return "wait a few seconds; if this stays, read the log of " + node
	}
	if n := v.neverHeard(); n > 0 {
		return fmt.Sprintf("start unibusd on the %s of routes that %s not answered yet: a new cluster elects its first leader when all %s have been up once",
			plural(n, "node", number(n)+" nodes"), plural(n, "has", "have"), number(v.Expected))
	}
	if away := v.silent(); len(away) > 0 {
		return fmt.Sprintf("start unibusd on %s: a new cluster elects its first leader when all %s nodes have been up at once", join(away), number(v.Expected))
	}
	return "wait a few seconds; if this stays, read the log of " + node
}

// silentHolders are the nodes away that had a SQLite file when they were last heard or, if
// none is known to have had one, all that are away.
func (v View) silentHolders() []string {
	var had []string
	for _, name := range v.silent() {
		if v.hadFile(name) {
			had = append(had, name)
		}
	}
	if len(had) > 0 {
		return had
	}
	return v.silent()
}

func (v View) hadFile(name string) bool {
	n, _ := v.node(name)
	return n.Info != nil && (n.Info.Serving.Backend == core.BackendSQLite || n.Info.Serving.File != "")
}

// mayHave says what is known of the file of nodes that are away.
func (v View) mayHave(away []string) string {
	if v.hadFile(away[0]) {
		return plural(len(away), "has it", "have one each")
	}
	return "may have it"
}

// migrateProgram is how each step to migrate begins.
const migrateProgram = "unibusd migrate-to-kv"

// migrateCommand is the command that migrates the file in use into the buckets; FILE stands
// for one that is not known. With replicas 0 they stay as they are.
func (v View) migrateCommand(replicas int) string {
	of := v.onSQLite()
	if of == "" {
		of = strings.Join(v.sqliteNodes(), "")
	}
	n, _ := v.node(of)
	file := v.servingOf(n).File
	if file == "" || len(v.sqliteNodes()) > 1 && v.onSQLite() == "" {
		return "`" + migrateProgram + " --db FILE`"
	}
	command := fmt.Sprintf("%s --node %s --db %s", migrateProgram, of, core.ShellQuote(file))
	if replicas > 0 {
		command += fmt.Sprintf(" --replicas %d", replicas)
	}
	return "`" + command + "`"
}
