package auth

import (
	"strings"
	"time"

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

// ended refuses an operator whose key has an end that is over.
func ended(op core.Operator) error {
	return core.Errorf(core.KindRefused, "the key of the operator %s ended at %s", op.Name, op.NotAfter.Time().UTC().Format(time.DateTime+" UTC")).
		WithNext("an admin gives it a later not-after in the nodes' configuration, or a new key: `unibusd keygen operator`")
}
