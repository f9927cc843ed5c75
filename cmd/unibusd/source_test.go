package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// TestSourceIn: nodes of the same make have their files at the same path; none is chosen by chance.
func TestSourceIn(t *testing.T) {
	t.Parallel()
	serves := func(node, file string) cluster.Node {
		return cluster.Node{Name: node, Info: &cluster.Info{Serving: cluster.Serving{Backend: core.BackendSQLite, File: file}}}
	}
	same := []cluster.Node{serves("n1", "/u.db"), serves("n2", "/u.db"), {Name: "n3"}}
	apart := []cluster.Node{serves("n1", "/u.db"), serves("n2", "/v.db")}
	onFile := &core.Authority{Backend: core.BackendSQLite, Node: "n1"}
	for name, c := range map[string]struct {
		nodes     []cluster.Node
		authority *core.Authority
		at        string
		move      migrate.Status
		next      string // what the advice names
		want      string
		refused   string
	}{
		"one serves it":          {nodes: apart, want: "n1"},
		"two serve that path":    {nodes: same, refused: "n1 and n2"},
		"two, and one is named":  {nodes: same, at: "n2", want: "n2"},
		"the named serves other": {nodes: apart, at: "n2", refused: "not the file that n2 serves"},
		"nobody serves it":       {nodes: apart[1:], refused: "not the file that a node serves"},
		"nobody serves any":      {refused: "no node serves"},
		"a move is begun":        {nodes: same, authority: onFile, want: "n1"},
		"a move is begun, again": {nodes: same, authority: onFile, at: "n1", want: "n1"},
		"begun elsewhere":        {nodes: same, authority: onFile, at: "n2", move: migrate.Status{State: migrate.StateCopy}, refused: "file of n1, not of n2", next: "migration abort"},
		"rolled back elsewhere":  {nodes: same, authority: onFile, at: "n2", move: migrate.Status{State: migrate.StateRolledBack}, refused: "file of n1, not of n2", next: "move /u.db away, `unibusd restore --from COPY --db /u.db`"},
		"aborted after that":     {nodes: same, authority: onFile, at: "n2", move: migrate.Status{State: migrate.StateAborted}, refused: "file of n1, not of n2", next: "--node n1 --db /u.db"},
		"in KV already":          {authority: &core.Authority{Backend: core.BackendKV, Node: "n1"}, at: "n2", want: "n1"},
		"aborted":                {nodes: apart, authority: &core.Authority{Backend: core.BackendNone, Node: "n2"}, want: "n1"},
	} {
		var st admin.Status
		st.Nodes, st.Authority = c.nodes, c.authority
		got, err := findSource(st, "/u.db", c.at, c.move)
		if got != c.want || (err != nil) != (c.refused != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if err != nil && (core.KindOf(err) != core.KindRefused || core.AsError(err).Next == "" || !strings.Contains(core.AsError(err).Next, c.next) || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProblemsOfADryRunAreNoRefusal of the move beside which it looked, and which
// came to its end; a dry run that fails has an error of its own.
func TestProblemsOfADryRunAreNoRefusal(t *testing.T) {
	t.Parallel()
	found := []core.Problem{{Text: "n2 does not answer"}}
	for _, c := range []struct {
		st   migrate.Status
		want core.Kind
	}{
		{migrate.Status{State: migrate.StateSoak, Problems: found}, ""},
		{migrate.Status{State: migrate.StatePreflight, Problems: found}, core.KindRefused},
		{migrate.Status{State: migrate.StateSoak, Problems: found, Error: core.Errorf(core.KindUnavailable, "x")}, core.KindUnavailable},
		{migrate.Status{State: migrate.StateVerify, Problems: found}, core.KindFailed},
	} {
		out := &cobra.Command{}
		out.SetOut(io.Discard)
		if err := (&network{}).ended(out, c.st, migrate.StatePreflight, migrate.StateSoak); core.KindOf(err) != c.want {
			t.Errorf("in %s: %v, want %q", c.st.State, err, c.want)
		}
	}
}
