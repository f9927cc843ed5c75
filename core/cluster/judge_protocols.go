package cluster

import "fmt"

// judgeProtocols finds two nodes that cannot work together. Others are in the same case.
func judgeProtocols(v View) []Finding {
	infos := v.infos()
	for i, a := range infos {
		for _, b := range infos[i+1:] {
			if !a.Protocols.WorkWith(b.Protocols) {
				return []Finding{{
					Critical, "config",
					fmt.Sprintf("%s and %s do not understand each other: %s runs unibusd %s, which speaks %s, and %s runs %s, which speaks %s. What one writes, the other may refuse or misread.",
						a.Name, b.Name, a.Name, a.Version, a.Protocols, b.Name, b.Version, b.Protocols),
					"stop the one whose release was changed last, and go through the releases between, one after the other: docs/operations/upgrades.md",
				}}
			}
		}
	}
	return nil
}
