package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/demo"
	"unibus/core/guide"
	"unibus/core/keys"
)

// completions are what the shell offers for flags and arguments.
func completions() map[string]cli.Values {
	users, nodes := cli.Asked(userKeys), cli.Asked(nodeNames)
	values := map[string]cli.Values{
		"--store":                      cli.OneOf(string(core.BackendSQLite), string(core.BackendKV)),
		"--bus-auth":                   cli.OneOf(string(core.BusAuthOff), string(core.BusAuthSoft), string(core.BusAuthEnforce)),
		"--log-format":                 cli.OneOf("text", "json"),
		"--log-level":                  cli.OneOf("debug", "info", "warn", "error"),
		"--tls-first":                  cli.OneOf("true", "false"),
		"unibusd user list --sort":     cli.OneOf(toStrings(core.UserSorts())...),
		"unibusd room list --sort":     cli.OneOf(toStrings(core.RoomSorts())...),
		"--status":                     cli.OneOf(string(core.UserActive), string(core.UserRevoked), string(core.UserExpired)),
		"--role":                       cli.OneOf(string(core.RoleMember), string(core.RoleAdmin)),
		"--expires":                    cli.OneOf("never", "12h", "90d", "365d"),
		"--format":                     cli.OneOf("csv", "jsonl"),
		"--replicas":                   cli.OneOf("1", "2", "3", "4", "5"),
		"--verb":                       cli.OneOf(auditedVerbs()...),
		"--outcome":                    cli.OneOf(outcomes()...),
		"--user":                       users,
		"--owner":                      users,
		"--node":                       nodes,
		"--to":                         nodes,
		"--ignore-node":                nodes,
		"unibusd audit --operator":     cli.Asked(operatorNames),
		"NKEY":                         users,
		"OLD":                          users,
		"unibusd operator remove NKEY": cli.Asked(operatorKeys),
		"NAME":                         nodes,
		"unibusd node add NAME":        cli.OneOf(), // a new one
		"unibusd node replace OLD":     nodes,
		"unibusd guide [NAME":          cli.OneOf(guideNames()...),
		"unibusd guide [NODE...]]":     guideArguments(map[string]cli.Values{"NODE": nodes, "OLD": nodes, "OPERATOR": cli.Asked(operatorNames), "NKEY": users}),
		"ROOM":                         cli.Asked(roomIDs),
		"GROUP":                        cli.Asked(groupNames),
		"NODE":                         demoNodes,
		"HOST:PORT|KEY":                knownClusters,
		"CERT": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"crt", "pem"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	for _, file := range []string{"db", "tls-cert", "tls-key", "route-tls-cert", "route-tls-key", "route-tls-ca", "route-tls-crl"} {
		values["unibusd serve --"+file] = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}
	}
	values["unibusd serve --data"] = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	maps.Copy(values, cli.ConnectionValues())
	return values
}

func toStrings[S ~string](all []S) (out []string) {
	for _, w := range all {
		out = append(out, string(w))
	}
	return out
}

func guideNames() (out []string) {
	for _, g := range guide.All() {
		out = append(out, g.Name)
	}
	return out
}

// guideArguments offers what the guide on the line takes.
func guideArguments(offers map[string]cli.Values) cli.Values {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		g, err := guide.Named(args[0])
		if err != nil || len(args) > len(g.Args) || offers[g.Args[len(args)-1]] == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offers[g.Args[len(args)-1]](c, args, typed)
	}
}

func userKeys(ctx context.Context, cl *admin.Client) (out []string, err error) {
	page, err := cl.UserPage(ctx, core.UserPageRequest{UserQuery: core.UserQuery{Sort: core.SortByName}})
	for _, u := range page.Users { // of more than a page, a shell shows nothing that helps
		out = append(out, cli.Described(string(u.ID), text(u.Name)))
	}
	return out, err
}

func roomIDs(ctx context.Context, cl *admin.Client) (out []string, err error) {
	page, err := cl.RoomPage(ctx, core.RoomPageRequest{})
	for _, r := range page.Rooms { // of more than a page, a shell shows nothing that helps
		out = append(out, cli.Described(string(r.ID), text(r.Name)))
	}
	return out, err
}

func nodeNames(ctx context.Context, cl *admin.Client) (out []string, err error) {
	st, err := cl.Status(ctx)
	for _, n := range st.Nodes {
		out = append(out, n.Name)
	}
	return out, err
}

func groupNames(ctx context.Context, cl *admin.Client) ([]string, error) {
	out := []string{"meta"}
	st, err := cl.Status(ctx)
	for _, b := range st.AllBuckets() {
		out = append(out, b.Name)
	}
	return out, err
}

func operatorKeys(ctx context.Context, cl *admin.Client) (out []string, err error) {
	all, err := operators(ctx, cl)
	for _, op := range all {
		out = append(out, cli.Described(op.Key, text(&op.Name)))
	}
	return out, err
}

func operatorNames(ctx context.Context, cl *admin.Client) (out []string, err error) {
	all, err := operators(ctx, cl)
	for _, op := range all {
		out = append(out, text(&op.Name))
	}
	return out, err
}

// operators are those in force on any node, each once.
func operators(ctx context.Context, cl *admin.Client) ([]core.Operator, error) {
	st, err := cl.Status(ctx)
	byKey := map[string]core.Operator{}
	for _, n := range st.Nodes {
		if n.Info != nil && n.Info.Operators != nil {
			for _, op := range n.Info.Operators.List {
				byKey[op.Key] = op
			}
		}
	}
	return slices.SortedFunc(maps.Values(byKey), func(a, b core.Operator) int { return strings.Compare(a.Key, b.Key) }), err
}

// demoNodes are the nodes of the demo in --dir.
func demoNodes(c *cobra.Command, _ []string, _ string) (out []string, _ cobra.ShellCompDirective) {
	dir, _ := c.Flags().GetString("dir")
	d, _ := demo.Load(dir) // without a demo there is nothing to offer
	for _, n := range d.Nodes {
		out = append(out, n.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// knownClusters are the addresses whose cluster's key is remembered.
func knownClusters(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	known, err := keys.DefaultKnownClusters()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := known.All() // a file that cannot be read offers nothing
	return slices.Sorted(maps.Keys(all)), cobra.ShellCompDirectiveNoFileComp
}
