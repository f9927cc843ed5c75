package node

import (
	"path/filepath"

	"unibus/core"
)

// removedOperatorsFile is where a node keeps the operators that were removed by command.
const removedOperatorsFile = "removed-operators.json"

// maxRemovedOperators bounds the list: it is part of what every node says of itself.
const maxRemovedOperators = 500

// removedOperators are the operators that were removed by command. The list only grows,
// so that no node can bring an operator back.
type removedOperators struct {
	replicatedList[core.RemovedOperator]
}

func newRemovedOperators(dir string) removedOperators {
	return removedOperators{newReplicatedList[core.RemovedOperator](filepath.Join(dir, removedOperatorsFile), maxRemovedOperators, func(key string) error {
		_, err := core.ParseUserID(key)
		return err
	})}
}

// load reads the file. A damaged file is an error: a start without it would admit removed operators.
func (r *removedOperators) load() error {
	if err := r.read(); err != nil {
		return core.Errorf(core.KindFailed, "the list of removed operators %s cannot be read: %w", r.path, err).
			WithNext("copy the file of this name from another node's data directory. Only if there is none: remove the operators that must stay out from the configuration, and move the file away")
	}
	return nil
}

// add adds what is new and returns that. It counts at once. It is on disk if there is no
// error.
func (r *removedOperators) add(some []core.RemovedOperator) ([]core.RemovedOperator, error) {
	fresh, err := r.replicatedList.add(some)
	if err != nil {
		return fresh, core.Errorf(core.KindFailed, "%s: %w", r.unsavedText(), err)
	}
	return fresh, nil
}

// fault is why the list is not on disk; "" where it is.
func (r *removedOperators) fault() string {
	if cause := r.replicatedList.fault(); cause != "" {
		return r.unsavedText() + ": " + cause
	}
	return ""
}

func (r *removedOperators) unsavedText() string {
	return r.path + " cannot be written, so the removal counts only until the next restart"
}

// keys are the keys that are refused.
func (r *removedOperators) keys() []string {
	var keys []string
	for _, op := range r.all() {
		keys = append(keys, op.Key)
	}
	return keys
}
