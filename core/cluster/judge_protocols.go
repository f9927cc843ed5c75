package cluster

import (
	"cmp"
	"fmt"
	"slices"
)

// judgeProtocols finds two nodes that cannot work together. Others are in the same case.
func judgeProtocols(v View) []Finding {
	infos := v.infos()
	for i, a := range infos {
		for _, b := range infos[i+1:] {
			if !a.Protocols.WorkWith(b.Protocols) {
				return []Finding{{
					Critical, "config",
					fmt.Sprintf("%s and %s do not understand each other: %s runs unibusd %s, which speaks %s, and %s runs %s, which speaks %s. Records that one of them writes, the other may refuse or misread.",
						a.Name, b.Name, a.Name, a.Version, a.Protocols, b.Name, b.Version, b.Protocols),
					"stop the one whose release was changed last, and go through the releases between, one after the other: docs/operations/upgrades.md",
				}}
			}
		}
	}
	return nil
}

// userEndsFrom is the protocol from which on a node reads users with an end.
const userEndsFrom = 2

// judgeUnreadable finds nodes of an older release that refuse users because they cannot
// read their ends. Such a node says nothing of it itself.
func judgeUnreadable(v View) []Finding {
	if !v.onKV() {
		return nil
	}
	infos := v.infos()
	users := 0
	for _, i := range infos {
		users = max(users, i.UsersWithEnd)
	}
	names := namesWhere(infos, func(i Info) bool { return i.Protocols.OrFirst().Newest < userEndsFrom })
	if users == 0 || len(names) == 0 {
		return nil
	}
	return []Finding{{
		Degraded, "config",
		fmt.Sprintf("%s %s an older release, which cannot read %s with an end: it refuses them, and lists of users fail there.",
			join(names), plural(len(names), "runs", "run"), number(users)+" "+plural(users, "user", "users")),
		"upgrade unibusd on " + join(names) + ", as docs/operations/upgrades.md says",
	}}
}

// noteVersions finds nodes of different versions that work together.
func noteVersions(infos []Info) []Finding {
	text := differingValues(infos, func(i Info) string { return cmp.Or(i.Version, "unknown") })
	if text == "" {
		return nil
	}
	return []Finding{{Note, "config", "The nodes run different versions: " + text + ".", "upgrade one node after the other, as docs/operations/upgrades.md says"}}
}

// JudgeVersions has the findings of Judge about the nodes' versions, the worst first.
func JudgeVersions(v View) []Finding {
	return slices.Concat(judgeProtocols(v), judgeUnreadable(v), noteVersions(v.infos()))
}
