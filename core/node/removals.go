package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"unibus/core"
	"unibus/core/keys"
)

// removalsFile is where a node keeps the operators who were removed by command.
const removalsFile = "removed-operators.json"

// maxRemovals bounds the list: it is part of what every node says of itself.
const maxRemovals = 500

// removals are the operators who were removed by command. The list only grows, so
// that the union of two nodes' lists is right whatever each of them missed, and
// no node's word brings anybody back.
type removals struct {
	path    string
	list    map[string]core.RemovedOperator // by key
	unsaved error                           // why the list is not on disk
}

// load reads the file. One that is damaged is an error: to start without it would let somebody in.
func (r *removals) load() error {
	r.list = map[string]core.RemovedOperator{}
	data, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var all []core.RemovedOperator
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(data)).Decode(&all)
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the list of removed operators %s cannot be read: %w", r.path, err).
			WithNext("copy the file of this name from another node's data directory; only where there is no other, look who is to stay out, take them out of the configuration and move the file away")
	}
	for _, op := range all {
		r.list[op.Key] = op
	}
	return nil
}

// add takes over what is new and returns it. It counts at once, and is on disk
// when there is no error.
func (r *removals) add(some []core.RemovedOperator) ([]core.RemovedOperator, error) {
	var fresh []core.RemovedOperator
	for _, op := range some {
		if _, err := core.ParseUserID(op.Key); err != nil {
			continue
		}
		if _, known := r.list[op.Key]; known || len(r.list) >= maxRemovals {
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

func (r *removals) save() error {
	data, err := json.MarshalIndent(r.all(), "", " ")
	if err == nil {
		err = keys.Replace(r.path, append(data, '\n'))
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written, so the removal counts until the next restart alone: %w", r.path, err)
	}
	return nil
}

// all is the list by key.
func (r *removals) all() []core.RemovedOperator {
	return slices.SortedFunc(maps.Values(r.list), func(a, b core.RemovedOperator) int { return cmp.Compare(a.Key, b.Key) })
}

// keys are those that are refused.
func (r *removals) keys() []string { return slices.Sorted(maps.Keys(r.list)) }
