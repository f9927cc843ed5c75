package guide

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// operatorKeyLost makes every node refuse a key, and every configuration file forget it. The
// guide cannot verify here what was done with the key: its end names the command that reads
// it.
func operatorKeyLost(c *checklist) {
	seen := cluster.OperatorsOf(c.View)
	lost, fault := lostOperator(seen, c.Args[0])
	if fault != "" {
		c.notApplicable(fault)
		return
	}
	named := cmp.Or(lost.Name, "the operator") + " (" + core.UserID(lost.Key).Short() + ")"
	admitted, refused := c.nodesByOperator(lost.Key)
	others := c.otherAdmins(seen, lost.Key)
	c.require(Step{
		Title: "Another admin can act", Why: "no operator can remove their own key",
		Do: "make a key for a new admin, and put its public half into the list operators of the configuration file of every node" + c.configFiles() +
			"; that needs no restart and no quorum",
		Type: []string{"unibusd keygen operator --out admin-new.nk"},
		Seen: cmp.Or(strings.Join(others, ", "), "nobody else") + " is an admin on every node that answers",
	}, len(others) > 0 || len(admitted) == 0, Next)
	c.require(Step{
		Title: "Remove " + named, Why: "until then the key opens every node that admits it, with the rights of its role",
		Do: "as another admin:", Type: []string{"unibusd operator remove " + lost.Key},
		Seen: fmt.Sprintf("admitted on: %s; refused on: %s", cmp.Or(strings.Join(admitted, ", "), "no node"), cmp.Or(strings.Join(refused, ", "), "no node")),
	}, len(admitted) == 0, Next)
	c.require(Step{
		Title: "Every node refuses the key", Why: "a node that was away learns of a removal from the others when it is back",
		Seen: fmt.Sprintf("not known of: %s", cmp.Or(strings.Join(seen.Silent, ", "), "no node")),
	}, len(seen.Silent) == 0 && len(c.Nodes) >= c.Expected, Waiting)
	for _, n := range c.Nodes {
		c.forgottenBy(n, lost.Key)
	}
	if !c.open {
		c.report.Text = fmt.Sprintf("Every node refuses the key of %s, and no configuration file names it. A removed key never comes back: give the same person a new one. "+
			"Read what was done with it: unibusd audit --since 7d --operator %s", named, lost.Key)
	}
}

// lostOperator finds an operator by the key or by the name, which several may have.
func lostOperator(seen cluster.OperatorsSeen, arg string) (core.Operator, string) {
	found := map[string]core.Operator{}
	for _, r := range seen.Removed {
		found[r.Key] = r.Operator
	}
	for _, o := range seen.Operators {
		found[o.Key] = o.Operator
	}
	if o, ok := found[arg]; ok {
		return o, ""
	}
	var keys []string
	for key, o := range found {
		if o.Name == arg {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	switch len(keys) {
	case 0:
		return core.Operator{}, "no node that answers has or had an operator " + arg
	case 1:
		return found[keys[0]], ""
	}
	return core.Operator{}, "several operators are named " + arg + "; give the key of the lost one: " + strings.Join(keys, ", ")
}

// nodesByOperator are the nodes that admit a key, and those that refuse it.
func (c *checklist) nodesByOperator(key string) (admitted, refused []string) {
	for _, n := range c.Nodes {
		if !n.Online || n.Info == nil || n.Info.Operators == nil {
			continue
		}
		if slices.ContainsFunc(n.Info.Operators.List, func(o core.Operator) bool { return o.Key == key }) {
			admitted = append(admitted, n.Name)
		} else {
			refused = append(refused, n.Name)
		}
	}
	return admitted, refused
}

// otherAdmins are the admins who can act on every node that says who its operators are.
func (c *checklist) otherAdmins(seen cluster.OperatorsSeen, key string) (names []string) {
	for _, o := range seen.Operators {
		if o.Key != key && o.Role == core.OperatorAdmin && len(o.NotOn) == 0 && !o.Ended(c.At) {
			names = append(names, cmp.Or(o.Name, core.UserID(o.Key).Short()))
		}
	}
	return names
}

// configFiles names the configuration file of each node that says where it is.
func (c *checklist) configFiles() string {
	var files []string
	for _, n := range c.Nodes {
		if n.Info != nil && n.Info.Operators != nil && n.Info.Operators.File != "" {
			files = append(files, n.Info.Operators.File+" on "+at(n))
		}
	}
	if len(files) == 0 {
		return ""
	}
	return ": " + strings.Join(files, ", ")
}

// forgottenBy has a removed key taken out of the configuration of a node.
func (c *checklist) forgottenBy(n cluster.Node, key string) {
	if n.Info == nil || n.Info.Operators == nil {
		return
	}
	file := cmp.Or(n.Info.Operators.File, "the configuration")
	leftover := slices.ContainsFunc(n.Info.Operators.Leftover, func(o core.Operator) bool { return o.Key == key })
	c.require(Step{
		Title: "Take the key out of " + file + " on " + at(n), Why: "a data directory that is emptied forgets the removal, and the file would admit the key again",
		Do:   "remove " + key + " from the list operators; the node reads the file again by itself",
		Seen: map[bool]string{true: "the configuration still names the key", false: "the configuration does not name the key"}[leftover],
	}, !leftover, Next)
}
