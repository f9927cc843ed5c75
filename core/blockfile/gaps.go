package blockfile

import "fmt"

// span says which sequences a block holds.
type span struct {
	index       uint64 // the number of its file
	first, last uint64 // 0: it holds no message
	torn, cut   bool   // its first or its last record is damaged, so that it may hold more
}

func (s *span) add(sequence uint64) {
	if sequence&tombstone != 0 {
		return
	}
	sequence &^= notAMessage
	if s.first == 0 {
		s.first = sequence
	}
	s.last = max(s.last, sequence)
}

// Gap is a range of sequences between two blocks of which no block holds a message. Either all
// of them were deleted, which only the server knows, or a file is missing or was cut short.
type Gap struct {
	First, Last uint64
	File        string // where they may have been
}

// Overlaps is true if both have a sequence.
func (g Gap) Overlaps(other Gap) bool {
	return max(g.First, other.First) <= min(g.Last, other.Last)
}

// Gaps are those between the first and the last sequence of the stream, which the server must
// have said before the blocks were read: what it wrote since may be in none of them. A gap
// inside a block is none, because a file does not lose its middle.
func (r Report) Gaps(first, last uint64) []Gap {
	var out []Gap
	expected, after, cut := first, uint64(0), false
	add := func(to, next uint64) {
		if expected <= to {
			out = append(out, Gap{First: expected, Last: to, File: between(after, next)})
		}
	}
	for _, b := range r.blocks {
		if b.first != 0 {
			if !cut && !b.torn {
				add(min(last, b.first-1), b.index)
			}
			expected, cut = max(expected, b.last+1), false
		}
		after, cut = b.index, cut || b.cut
	}
	if !cut {
		add(last, after+2)
	}
	return out
}

// between names a file whose number is missing between two blocks; the one before, if none is.
func between(after, next uint64) string {
	switch {
	case after == 0:
		after = max(next, 2) - 1
	case next > after+1:
		after++
	}
	return fmt.Sprintf("%d.blk", after)
}

// AddMissing notes that the server has messages of a gap.
func (r *Report) AddMissing(g Gap) {
	r.Missing++
	r.add(Damage{File: g.File, Sequence: g.First, Through: g.Last})
}
