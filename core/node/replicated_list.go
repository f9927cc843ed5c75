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
	"sync"

	"unibus/core"
	"unibus/core/keys"
)

// maxNodeRecords bounds a list of nodes: it is part of what every node says of itself.
const maxNodeRecords = 200

// replicatedRecord is what commands decided about one node or operator.
type replicatedRecord[T any] interface {
	RecordKey() string // the node's name or the operator's key
	Supersedes(other T) bool
}

// replicatedList holds records that every node keeps on disk, and tells the others. Of
// those with one key the record counts that supersedes the others, so that the merge of
// two lists is right whatever each node missed.
type replicatedList[T replicatedRecord[T]] struct {
	path     string
	max      int                // how many records it holds
	checkKey func(string) error // a record of another node whose key it refuses is ignored

	mu      sync.Mutex
	list    map[string]T // by key
	unsaved error        // why the list is not on disk
}

func newNodeList[T replicatedRecord[T]](path string) replicatedList[T] {
	return newReplicatedList[T](path, maxNodeRecords, func(name string) error {
		_, err := core.ParseNodeName(name)
		return err
	})
}

func newReplicatedList[T replicatedRecord[T]](path string, most int, checkKey func(string) error) replicatedList[T] {
	return replicatedList[T]{path: path, max: most, checkKey: checkKey, list: map[string]T{}}
}

// read takes the list from its file in the data directory. Without a file it is empty.
func (l *replicatedList[T]) read() error {
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var all []T
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(data)).Decode(&all)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range all {
		l.list[d.RecordKey()] = d
	}
	return nil
}

// add merges records and returns those that are new. They count at once, and are on
// disk if there is no error.
func (l *replicatedList[T]) add(some []T) ([]T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fresh []T
	for _, d := range some {
		before, known := l.list[d.RecordKey()]
		if l.checkKey(d.RecordKey()) != nil || known && !d.Supersedes(before) || !known && len(l.list) >= l.max {
			continue
		}
		l.list[d.RecordKey()] = d
		fresh = append(fresh, d)
	}
	if len(fresh) == 0 && l.unsaved == nil {
		return nil, nil
	}
	l.unsaved = l.write()
	return fresh, l.unsaved
}

// write replaces the file, synced.
func (l *replicatedList[T]) write() error {
	data, err := json.MarshalIndent(l.sorted(), "", " ")
	if err != nil {
		return err
	}
	return keys.Replace(l.path, append(data, '\n'))
}

// restore writes the file again if it was removed. It returns true if it did.
func (l *replicatedList[T]) restore() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 || !wasRemoved(l.path) {
		return false
	}
	l.unsaved = l.write()
	return l.unsaved == nil
}

// errListFull is what put returns for one more key than a list can hold.
var errListFull = errors.New("the list is full")

// hasSpace is true where a record with a key can be added.
func (l *replicatedList[T]) hasSpace(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.list[key]
	return known || len(l.list) < l.max
}

// put adds what was decided here, and takes it back if it is not on disk. Without an
// error that record counts, or one that supersedes it.
func (l *replicatedList[T]) put(d T) error {
	before, known := l.of(d.RecordKey())
	_, err := l.add([]T{d})
	if err == nil {
		if _, ok := l.of(d.RecordKey()); !ok {
			return errListFull
		}
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, d.RecordKey())
	if known {
		l.list[d.RecordKey()] = before
	}
	return err
}

// all returns every record, by key.
func (l *replicatedList[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sorted()
}

// sorted is all for a caller that holds mu.
func (l *replicatedList[T]) sorted() []T {
	return slices.SortedFunc(maps.Values(l.list), func(a, b T) int { return cmp.Compare(a.RecordKey(), b.RecordKey()) })
}

// of returns the record with a key.
func (l *replicatedList[T]) of(key string) (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.list[key]
	return d, ok
}

// fault is why the list is not on disk; "" where it is.
func (l *replicatedList[T]) fault() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsaved == nil {
		return ""
	}
	return l.unsaved.Error()
}
