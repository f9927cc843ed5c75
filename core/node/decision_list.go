package node

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"

	"unibus/core"
)

// maxDecisions bounds a list: it is part of what every node says of itself.
const maxDecisions = 200

// nodeDecision is what commands decided about one node.
type nodeDecision[T any] interface {
	About() string // the node's name
	Supersedes(other T) bool
}

// decisionList holds decisions that every node keeps on disk, and tells the others. Of
// each node the decision counts that supersedes the others, so that the merge of two lists
// is right whatever each node missed.
type decisionList[T nodeDecision[T]] struct {
	path string

	mu      sync.Mutex
	list    map[string]T // by node
	unsaved error        // why the list is not on disk
}

func newDecisionList[T nodeDecision[T]](path string) decisionList[T] {
	return decisionList[T]{path: path, list: map[string]T{}}
}

// read takes the list from the file.
func (l *decisionList[T]) read() error {
	all, err := readDecisions[T](l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range all {
		l.list[d.About()] = d
	}
	return nil
}

// add merges decisions and returns those that are new. They count at once, and are on
// disk if there is no error.
func (l *decisionList[T]) add(some []T) ([]T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var fresh []T
	for _, d := range some {
		before, known := l.list[d.About()]
		if _, err := core.ParseNodeName(d.About()); err != nil || known && !d.Supersedes(before) || !known && len(l.list) >= maxDecisions {
			continue
		}
		l.list[d.About()] = d
		fresh = append(fresh, d)
	}
	if len(fresh) == 0 && l.unsaved == nil {
		return nil, nil
	}
	l.unsaved = writeDecisions(l.path, l.sorted())
	return fresh, l.unsaved
}

// errListFull is what decide returns for one more node than a list can hold.
var errListFull = errors.New("the list is full")

// decide adds what was decided here, and takes it back if it is not on disk. Without an
// error that decision counts, or one that supersedes it.
func (l *decisionList[T]) decide(d T) error {
	before, known := l.of(d.About())
	_, err := l.add([]T{d})
	if err == nil {
		if _, ok := l.of(d.About()); !ok {
			return errListFull
		}
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, d.About())
	if known {
		l.list[d.About()] = before
	}
	return err
}

// all returns every decision, by node.
func (l *decisionList[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sorted()
}

// sorted is all for a caller that holds mu.
func (l *decisionList[T]) sorted() []T {
	return slices.SortedFunc(maps.Values(l.list), func(a, b T) int { return cmp.Compare(a.About(), b.About()) })
}

// of returns what was decided about a node.
func (l *decisionList[T]) of(node string) (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.list[node]
	return d, ok
}

// fault is why the list is not on disk; "" where it is.
func (l *decisionList[T]) fault() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsaved == nil {
		return ""
	}
	return l.unsaved.Error()
}
