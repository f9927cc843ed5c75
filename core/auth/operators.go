package auth

import (
	"strings"

	"unibus/core"
)

// CheckOperators says whether a configured list can be used: every key a public
// nkey of the user kind, in use once, with a known role. KindInvalid names the entry.
func CheckOperators(ops []core.Operator) error {
	seen := map[core.UserID]string{}
	for _, op := range ops {
		id, err := core.ParseUserID(op.Key)
		if err != nil {
			return core.Errorf(core.KindInvalid, "the operator %q has no usable key: %w", op.Name, err).
				WithNext("give the public key that `unibusd keygen operator` printed")
		}
		if other, taken := seen[id]; taken {
			return core.Errorf(core.KindInvalid, "the operators %q and %q have the same key %s", other, op.Name, id.Short()).
				WithNext("give each operator a key of their own, with one role")
		}
		seen[id] = op.Name
		if _, err := operatorGrant(op, nil); err != nil {
			return core.Errorf(core.KindInvalid, "the operator %q has the unknown role %q", op.Name, op.Role).
				WithNext("use viewer, admin, system or auditor")
		}
	}
	return nil
}

// operatorTable is looked up by the canonical key. A key that is none can never
// be proven and is left out; of two entries with one key the first counts, as
// CheckOperators has refused the second.
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
