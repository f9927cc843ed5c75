package migrate

import (
	"iter"

	"unibus/core"
)

// rowChunk is a run of rows, and the error that ended them.
type rowChunk struct {
	rows  []core.Row
	bytes int
	err   error
}

// prefetch reads rows in a goroutine of its own, so that the next batch is read
// while one is written. It holds at most one chunk beyond what its consumer has,
// limited in rows and in bytes. When the sequence ends, for whatever reason, the
// goroutine has ended too.
func prefetch(seq iter.Seq2[core.Row, error], rows, bytes int) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		read, quit := make(chan rowChunk), make(chan struct{})
		go func() {
			defer close(read)
			splitChunks(seq, rows, bytes, func(s rowChunk) bool {
				select {
				case read <- s:
					return true
				case <-quit:
					return false
				}
			})
		}()
		defer func() {
			close(quit)
			for range read { // until the goroutine has ended: the caller closes what it reads
			}
		}()
		for s := range read {
			for _, r := range s.rows {
				if !yield(r, nil) {
					return
				}
			}
			if s.err != nil {
				yield(core.Row{}, s.err)
				return
			}
		}
	}
}

// splitChunks divides a sequence into chunks, until deliver returns false.
func splitChunks(seq iter.Seq2[core.Row, error], rows, bytes int, deliver func(rowChunk) bool) {
	var s rowChunk
	for r, err := range seq {
		if err != nil {
			s.err = err
			break
		}
		s.rows, s.bytes = append(s.rows, r), s.bytes+len(r.Key)+len(r.Value)
		if len(s.rows) >= rows || s.bytes >= bytes {
			if !deliver(s) {
				return
			}
			s = rowChunk{rows: make([]core.Row, 0, len(s.rows))}
		}
	}
	if len(s.rows) > 0 || s.err != nil {
		deliver(s)
	}
}
