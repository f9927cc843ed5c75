package core

import "slices"

// chunkSize is how many values a chunk of an orderedList has before it is split.
const chunkSize = 512

// orderedList keeps values in an order, in chunks: a change moves one chunk, and the
// value at a position is found by counting chunks, so that neither depends on how
// many values there are as far as anybody can measure.
type orderedList[T any] struct {
	chunks  [][]T
	size    int
	compare func(a, b T) int // never 0 for two values that are both in the list
}

// newOrderedList makes a list of values that are in order already.
func newOrderedList[T any](sorted []T, compare func(a, b T) int) *orderedList[T] {
	l := &orderedList[T]{size: len(sorted), compare: compare}
	for chunk := range slices.Chunk(sorted, chunkSize/2) {
		l.chunks = append(l.chunks, slices.Clone(chunk))
	}
	return l
}

// chunkOf is the first chunk that does not end before v; the last one where all do.
func (l *orderedList[T]) chunkOf(v T) int {
	i, _ := slices.BinarySearchFunc(l.chunks, v, func(chunk []T, v T) int { return l.compare(chunk[len(chunk)-1], v) })
	return min(i, max(0, len(l.chunks)-1))
}

// insert adds a value that is not in the list.
func (l *orderedList[T]) insert(v T) {
	l.size++
	if len(l.chunks) == 0 {
		l.chunks = [][]T{{v}}
		return
	}
	i := l.chunkOf(v)
	at, _ := slices.BinarySearchFunc(l.chunks[i], v, l.compare)
	l.chunks[i] = slices.Insert(l.chunks[i], at, v)
	if n := len(l.chunks[i]); n > chunkSize {
		tail := slices.Clone(l.chunks[i][n/2:])
		l.chunks[i] = slices.Clip(l.chunks[i][:n/2])
		l.chunks = slices.Insert(l.chunks, i+1, tail)
	}
}

// remove takes a value out, if it is there.
func (l *orderedList[T]) remove(v T) {
	if len(l.chunks) == 0 {
		return
	}
	i := l.chunkOf(v)
	at, found := slices.BinarySearchFunc(l.chunks[i], v, l.compare)
	if !found {
		return
	}
	l.size--
	if l.chunks[i] = slices.Delete(l.chunks[i], at, at+1); len(l.chunks[i]) == 0 {
		l.chunks = slices.Delete(l.chunks, i, i+1)
	}
}

// countBefore is how many values come before v, and whether v is in the list.
func (l *orderedList[T]) countBefore(v T) (n int, found bool) {
	if len(l.chunks) == 0 {
		return 0, false
	}
	i := l.chunkOf(v)
	for _, chunk := range l.chunks[:i] {
		n += len(chunk)
	}
	at, found := slices.BinarySearchFunc(l.chunks[i], v, l.compare)
	return n + at, found
}

// find returns the value of the list that is equal to v in its order.
func (l *orderedList[T]) find(v T) (found T, ok bool) {
	if len(l.chunks) == 0 {
		return found, false
	}
	chunk := l.chunks[l.chunkOf(v)]
	if at, ok := slices.BinarySearchFunc(chunk, v, l.compare); ok {
		return chunk[at], true
	}
	return found, false
}

// each calls do with the values from a position on, forward or backward, until it
// returns false.
func (l *orderedList[T]) each(from int, backward bool, do func(T) bool) {
	if backward {
		l.eachBackward(from, do)
		return
	}
	for _, chunk := range l.chunks {
		if from >= len(chunk) {
			from -= len(chunk)
			continue
		}
		for _, v := range chunk[from:] {
			if !do(v) {
				return
			}
		}
		from = 0
	}
}

// eachBackward is each from the end; from counts from there.
func (l *orderedList[T]) eachBackward(from int, do func(T) bool) {
	for _, chunk := range slices.Backward(l.chunks) {
		if from >= len(chunk) {
			from -= len(chunk)
			continue
		}
		for _, v := range slices.Backward(chunk[:len(chunk)-from]) {
			if !do(v) {
				return
			}
		}
		from = 0
	}
}
