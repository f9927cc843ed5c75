package node

import (
	"cmp"
	"maps"
	"slices"

	"unibus/core"
)

// removedOperatorsFile is where a node keeps the operators that were removed by command.
const removedOperatorsFile = "removed-operators.json"

// maxRemovedOperators bounds the list: it is part of what every node says of itself.
const maxRemovedOperators = 500

// removedOperators are the operators that were removed by command. The list only grows.
// So the union of two nodes' lists is right whatever each of them missed, and no node
// can bring an operator back.
type removedOperators struct {
	path    string
	list    map[string]core.RemovedOperator // by key
	unsaved error                           // why the list is not on disk
}

// load reads the file. A damaged file is an error: a start without it would admit removed operators.
func (r *removedOperators) load() error {
	r.list = map[string]core.RemovedOperator{}
	all, err := readDecisions[core.RemovedOperator](r.path)
	if err != nil {
		return core.Errorf(core.KindFailed, "the list of removed operators %s cannot be read: %w", r.path, err).
			WithNext("copy the file of this name from another node's data directory. Only if there is none: remove the operators that must stay out from the configuration, and move the file away")
	}
	for _, op := range all {
		r.list[op.Key] = op
	}
	return nil
}

// add adds what is new and returns that. It counts at once. It is on disk if there is no
// error.
func (r *removedOperators) add(some []core.RemovedOperator) ([]core.RemovedOperator, error) {
	var fresh []core.RemovedOperator
	for _, op := range some {
		if _, err := core.ParseUserID(op.Key); err != nil {
			continue
		}
		if _, known := r.list[op.Key]; known || len(r.list) >= maxRemovedOperators {
			continue
		}
		r.list[op.Key] = op
		fresh = append(fresh, op)
	}
	if len(fresh) == 0 && r.unsaved == nil {
		return nil, nil
	}
	r.unsaved = r.save()
	return fresh, r.unsaved
}

func (r *removedOperators) save() error {
	if err := writeDecisions(r.path, r.all()); err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written, so the removal counts only until the next restart: %w", r.path, err)
	}
	return nil
}

// all is the list by key.
func (r *removedOperators) all() []core.RemovedOperator {
	return slices.SortedFunc(maps.Values(r.list), func(a, b core.RemovedOperator) int { return cmp.Compare(a.Key, b.Key) })
}

// keys are the keys that are refused.
func (r *removedOperators) keys() []string { return slices.Sorted(maps.Keys(r.list)) }
