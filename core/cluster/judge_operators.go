package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"unibus/core"
)

// judgeOperators compares who the nodes' operators are. Each node admits by its
// own configuration: an operator who was taken out of one file is still let in by another.
func judgeOperators(infos []Info, now time.Time) []Finding {
	infos = slices.DeleteFunc(slices.Clone(infos), func(i Info) bool { return i.Operators == nil }) // older nodes do not say
	fs := slices.Concat(operatorFiles(infos, now), operatorDifferences(infos), operatorEnds(infos, now))
	for _, i := range infos {
		for _, op := range i.Operators.Leftover {
			fs = append(fs, Finding{
				Note, "config",
				fmt.Sprintf("The configuration of %s still names %s, which was removed: the node refuses the key.", i.Name, operatorName(op)),
				fmt.Sprintf("take the key %s out of the configuration of %s", op.Key, i.Name),
			})
		}
	}
	return fs
}

// operatorFiles finds configurations that a node cannot use, and lists it cannot keep.
func operatorFiles(infos []Info, now time.Time) []Finding {
	var fs []Finding
	for _, i := range infos {
		if o := i.Operators; o.Fault != "" {
			fs = append(fs, Finding{
				Degraded, "node." + i.Name,
				fmt.Sprintf("%s cannot use its configuration file since %s, and its operators stay as they were: %s.", i.Name, clock(o.FaultSince, now), o.Fault),
				fmt.Sprintf("correct %s on %s, which reads it again by itself; to check it there: `unibusd serve --config %s --check`", o.File, i.Name, core.ShellQuote(o.File)),
			})
		}
		if i.Operators.Unsaved != "" {
			fs = append(fs, Finding{
				Degraded, "node." + i.Name,
				fmt.Sprintf("%s cannot keep the list of removed operators: %s.", i.Name, i.Operators.Unsaved),
				fmt.Sprintf("look at the disk of %s before it is restarted", i.Name),
			})
		}
	}
	return fs
}

// operatorDifferences says for each key which nodes differ.
func operatorDifferences(infos []Info) []Finding {
	var fs []Finding
	for _, key := range operatorKeys(infos) {
		if text := operatorSpread(infos, key); text != "" {
			fs = append(fs, Finding{Degraded, "config", text, "make the operators in the configuration files of every node the same, which needs no restart. To refuse the key on every node: `unibusd operator remove " + key + "`"})
		}
	}
	return fs
}

// operatorKeys are the keys that any node has, in order.
func operatorKeys(infos []Info) []string {
	seen := map[string]bool{}
	for _, i := range infos {
		for _, op := range i.Operators.List {
			seen[op.Key] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// operatorSpread is a sentence about a key that is not the same everywhere; "" for one that is.
func operatorSpread(infos []Info, key string) string {
	with := slices.DeleteFunc(slices.Clone(infos), func(i Info) bool { return operatorOf(i, key) == nil })
	has, lacks := partitionNames(infos, func(i Info) bool { return operatorOf(i, key) != nil })
	named := operatorName(*operatorOf(with[len(with)-1], key))
	switch text := differingValues(with, func(i Info) string { return string(operatorOf(i, key).Role) }); {
	case len(lacks) > 0:
		return fmt.Sprintf("%s is an operator on %s and not on %s: which node answers decides what is allowed.", named, join(has), join(lacks))
	case text != "":
		return fmt.Sprintf("%s has different roles: %s.", named, text)
	}
	if text := differingValues(with, func(i Info) string { return notAfterText(*operatorOf(i, key)) }); text != "" {
		return fmt.Sprintf("%s has different ends: %s.", named, text)
	}
	if has, lacks := partitionNames(with, func(i Info) bool { return operatorOf(i, key).SSHKey == operatorOf(with[0], key).SSHKey }); len(lacks) > 0 {
		return fmt.Sprintf("%s has another ssh-key on %s than on %s: it does not open the console over SSH.", named, join(lacks), join(has))
	}
	if text := differingValues(with, func(i Info) string { return operatorOf(i, key).Name }); text != "" {
		return fmt.Sprintf("The operator's key %s has different names: %s.", core.UserID(key).Short(), text)
	}
	return ""
}

func operatorOf(i Info, key string) *core.Operator {
	at := slices.IndexFunc(i.Operators.List, func(op core.Operator) bool { return op.Key == key })
	if at < 0 {
		return nil
	}
	return &i.Operators.List[at]
}

// operatorName is how a sentence calls an operator: names are not unique.
func operatorName(op core.Operator) string {
	return fmt.Sprintf("%s (%s)", cmp.Or(op.Name, "an operator"), core.UserID(op.Key).Short())
}

// OperatorsSeen is who the operators are, over all nodes that say.
type OperatorsSeen struct {
	Operators []OperatorSeen    `json:"operators"` // those in force anywhere, by key; one entry for each role and name
	Removed   []RemovedSeen     `json:"removed"`   // by key
	Faults    map[string]string `json:"faults"`    // why a node cannot use its configuration file, by node
	Silent    []string          `json:"silent"`    // nodes that do not answer, or are too old to say
}

// OperatorSeen is an operator and where the key is admitted as this.
type OperatorSeen struct {
	core.Operator
	On    []string `json:"on"`
	NotOn []string `json:"not_on"`
}

// RemovedSeen is a removed operator and where the key is refused.
type RemovedSeen struct {
	core.RemovedOperator
	On    []string `json:"on"`
	NotOn []string `json:"not_on"`
}

// OperatorsOf gathers what the nodes of a View say of their operators.
func OperatorsOf(v View) OperatorsSeen {
	out := OperatorsSeen{Operators: []OperatorSeen{}, Removed: []RemovedSeen{}, Faults: map[string]string{}, Silent: []string{}}
	var infos []Info
	for _, n := range v.Nodes {
		if !n.Online || n.Info == nil || n.Info.Operators == nil {
			out.Silent = append(out.Silent, n.Name)
			continue
		}
		infos = append(infos, *n.Info)
		if n.Info.Operators.Fault != "" {
			out.Faults[n.Name] = n.Info.Operators.Fault
		}
	}
	for _, i := range infos {
		for _, op := range i.Operators.List {
			if !slices.ContainsFunc(out.Operators, func(o OperatorSeen) bool { return o.Operator == op }) {
				on, not := partitionNames(infos, func(i Info) bool { return slices.Contains(i.Operators.List, op) })
				out.Operators = append(out.Operators, OperatorSeen{op, on, not})
			}
		}
		for _, r := range i.Operators.Removed {
			if !slices.ContainsFunc(out.Removed, func(o RemovedSeen) bool { return o.Key == r.Key }) {
				on, not := partitionNames(infos, func(i Info) bool {
					return slices.ContainsFunc(i.Operators.Removed, func(o core.RemovedOperator) bool { return o.Key == r.Key })
				})
				out.Removed = append(out.Removed, RemovedSeen{r, on, not})
			}
		}
	}
	slices.SortStableFunc(out.Operators, func(a, b OperatorSeen) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortStableFunc(out.Removed, func(a, b RemovedSeen) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// partitionNames are the nodes of which something is true, and the others.
func partitionNames(infos []Info, is func(Info) bool) (yes, no []string) {
	yes, no = []string{}, []string{}
	for _, i := range infos {
		if is(i) {
			yes = append(yes, i.Name)
		} else {
			no = append(no, i.Name)
		}
	}
	return yes, no
}
