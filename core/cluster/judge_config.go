package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"unibus/core"
)

// infos returns what the nodes that answer say of themselves, by name.
func (v View) infos() []Info {
	var out []Info
	for _, n := range v.Nodes {
		if n.Online && n.Info != nil {
			out = append(out, *n.Info)
		}
	}
	return out
}

// namesWhere are the nodes of which something is true.
func namesWhere(infos []Info, is func(Info) bool) []string {
	var out []string
	for _, i := range infos {
		if is(i) {
			out = append(out, i.Name)
		}
	}
	return out
}

// judgeConfig looks at how the nodes were started.
func judgeConfig(v View, now time.Time) []Finding {
	infos := v.infos()
	fs := slices.Concat(judgeProtocols(v), judgeUnreadable(v), Exposed(infos), differences(infos), judgeOperators(infos, now), judgeDiskComparison(v, now), otherKeys(infos), fileFaults(infos))
	if lazy := namesWhere(infos, func(i Info) bool { return !i.SyncWrites }); v.Clustered && len(lazy) > 0 {
		fs = append(fs, Finding{
			Degraded, "config",
			fmt.Sprintf("%s %s writes before they are on disk: a power cut can lose them.", join(lazy), plural(len(lazy), "acknowledges", "acknowledge")),
			"upgrade unibusd on " + join(lazy) + ": this release puts every write on disk first",
		})
	}
	return fs
}

// otherKeys finds nodes that were known by a key of their own before they joined.
func otherKeys(infos []Info) []Finding {
	var fs []Finding
	for _, i := range infos {
		if i.OwnKey != "" {
			fs = append(fs, Finding{
				Critical, "node." + i.Name,
				fmt.Sprintf("%s has the cluster key %s in its data directory, and the cluster has %s: operators and programs that know %s by the old key refuse it.", i.Name, i.OwnKey, i.ClusterKey, i.Name),
				fmt.Sprintf("tell them the cluster's key, then move cluster.nk out of the data directory of %s and restart it", i.Name),
			})
		}
	}
	return fs
}

// Exposed finds listeners that other machines reach and that protect too little.
func Exposed(infos []Info) []Finding {
	var fs []Finding
	add := func(names []string, text, next string) {
		if len(names) > 0 {
			fs = append(fs, Finding{Degraded, "config", fmt.Sprintf("%s %s to other machines %s", join(names), plural(len(names), "listens", "listen"), text), next})
		}
	}
	add(namesWhere(infos, func(i Info) bool { return !i.Loopback && !i.TLS }),
		"without TLS: traffic can be read on the network.", "start every node with --tls-cert and --tls-key")
	add(namesWhere(infos, func(i Info) bool { return !i.Loopback && i.BusAuth != core.BusAuthEnforce }),
		"without --bus-auth enforce: every client that reaches the port may use the bus.", "start every node with --bus-auth enforce")
	return fs
}

// differences finds flags that are not the same on every node.
func differences(infos []Info) []Finding {
	var fs []Finding
	for _, flag := range []struct {
		name string
		of   func(Info) string
	}{
		{"--bus-auth", func(i Info) string { return string(i.BusAuth) }},
		{"TLS", func(i Info) string { return onOff(i.TLS) }},
		{"--store", func(i Info) string { return string(i.Store) }},
		{"--replicas", func(i Info) string { return fmt.Sprint(i.Replicas) }},
	} {
		if text := differingValues(infos, flag.of); text != "" {
			fs = append(fs, Finding{Degraded, "config", fmt.Sprintf("%s differs between the nodes: %s.", flag.name, text), "give every node the same value, and restart unibusd where it was another one, one node after the other: this stays until the last was restarted, and keeps no restart"})
		}
	}
	return fs
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// differingValues says which value is where: "off on n1, enforce on n2 and n3"; "" where all are the same.
func differingValues(infos []Info, of func(Info) string) string {
	at := map[string][]string{}
	for _, i := range infos {
		at[of(i)] = append(at[of(i)], i.Name)
	}
	if len(at) < 2 {
		return ""
	}
	values := slices.SortedFunc(maps.Keys(at), func(a, b string) int { return cmp.Compare(at[a][0], at[b][0]) })
	out := ""
	for i, value := range values {
		if i > 0 {
			out += ", "
		}
		out += value + " on " + join(at[value])
	}
	return out
}

// judgeNotes says where the cluster is not yet as declared, and adds notes that need no action.
func judgeNotes(v View) []Finding {
	var fs []Finding
	note := func(about, text, next string) { fs = append(fs, Finding{Note, about, text, next}) }
	infos := v.infos()
	if names := namesWhere(infos, func(i Info) bool { return i.BusAuth != core.BusAuthEnforce }); len(names) > 0 {
		note("config", "bus-auth enforce is declared, but not active on "+join(names)+".", "`unibusd rollout` shows the clients that it would deny; then restart unibusd on "+join(names)+" with --bus-auth enforce")
	}
	if names := namesWhere(infos, func(i Info) bool { return !i.TLS }); len(names) > 0 {
		note("config", "bus-tls is declared, but not active on "+join(names)+".", "restart unibusd on "+join(names)+" with --tls-cert and --tls-key")
	}
	switch {
	case !v.Clustered:
		note("authority", "A decentralized control plane is declared, but there is one node, without routes.", "docs/operations/three-hosts.md shows how three nodes become a cluster")
	case v.onSQLite() != "":
		note("authority", "A decentralized control plane is declared, but it is SQLite on "+v.onSQLite()+".", "migrate it: "+v.migrateCommand(0))
	case v.noRecord() && len(v.sqliteNodes()) > 0:
		note("authority", "A decentralized control plane is declared, but it is SQLite on "+join(v.sqliteNodes())+".", "migrate it: "+v.migrateCommand(0))
	}
	if s := v.Soak; s != nil {
		note("migration", fmt.Sprintf("The control plane moved to KV at %s UTC, and can be rolled back to SQLite on %s until the migration is finished.", s.Since.Time().UTC().Format("2006-01-02 15:04"), s.Node),
			"finish it when all is well: `unibusd migration finish`")
	}
	fs = append(fs, noteVersions(infos)...)
	if v.Clustered && v.Expected == 2 {
		note("meta", "Two nodes need each other: a third lets one of them stop.", "add a third node, as docs/operations/nodes.md says")
	}
	return fs
}
