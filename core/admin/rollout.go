package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"unibus/core"
)

// SafeToEnforce is the verdict where nothing speaks against it.
const SafeToEnforce = "safe to enforce"

func (s *Service) rollout(ctx context.Context, _ core.Operator, _ []byte) (any, error) {
	out := Rollout{Nodes: s.cfg.Sessions.Rollout(ctx), Declared: s.cfg.Declared}
	out.Verdict = verdict(out.Nodes)
	out.Safe = out.Verdict == SafeToEnforce
	return out, nil
}

// verdict is the first thing that speaks against enforce, the least known first.
func verdict(nodes map[string]RolloutNode) string {
	names := slices.Sorted(maps.Keys(nodes))
	where := func(is func(RolloutNode) bool) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !is(nodes[n]) }), ", ")
	}
	denied := 0
	for _, n := range nodes {
		denied += len(n.WouldDeny) + n.More
	}
	if len(names) == 0 {
		return "no node answered"
	}
	if list := where(func(n RolloutNode) bool { return n.Unknown }); list != "" {
		return "not known: no answer from " + list
	}
	if list := where(func(n RolloutNode) bool { return n.Active[FlagBusAuth] == string(core.BusAuthOff) }); list != "" {
		return "not known: with bus-auth off nothing is recorded on " + list + "; run soft there first"
	}
	if denied > 0 {
		at := where(func(n RolloutNode) bool { return len(n.WouldDeny)+n.More > 0 })
		clients := "clients"
		if denied == 1 {
			clients = "client"
		}
		return fmt.Sprintf("not safe: %d %s would be denied on %s", denied, clients, at)
	}
	if list := where(func(n RolloutNode) bool { return n.Overflow > 0 }); list != "" {
		return "not known: more was seen than could be recorded on " + list
	}
	if name := differing(nodes, names); name != "" {
		return "not safe: the nodes differ in " + name
	}
	return SafeToEnforce
}

// FlagBusAuth is the name of the flag that a rollout is about.
const FlagBusAuth = "bus-auth"

// differing is the first flag that is not the same on every node. The mode may
// differ while enforce is being turned on node by node.
func differing(nodes map[string]RolloutNode, names []string) string {
	first := nodes[names[0]].Active
	for _, flag := range slices.Sorted(maps.Keys(first)) {
		for _, n := range names {
			if flag != FlagBusAuth && nodes[n].Active[flag] != first[flag] {
				return flag
			}
		}
	}
	return ""
}
