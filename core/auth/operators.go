package auth

import (
	"strings"

	"unibus/core"
)

// operatorTable is looked up by the canonical key. A key that is none can never
// be proven and is left out; of two entries with one key the first counts:
// core/config refuses the second.
func operatorTable(ops []core.Operator) map[string]core.Operator {
	table := make(map[string]core.Operator, len(ops))
	for _, op := range ops {
		op.Key = strings.ToUpper(op.Key)
		if _, err := core.ParseUserID(op.Key); err != nil {
			continue
		}
		if _, taken := table[op.Key]; !taken {
			table[op.Key] = op
		}
	}
	return table
}
