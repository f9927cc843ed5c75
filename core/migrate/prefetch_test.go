package migrate

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"unibus/core"
)

// countedRows are n rows of ten bytes each and then an error, if any; read is how many were handed out.
func countedRows(n int, err error) (seq iter.Seq2[core.Row, error], read *atomic.Int64, ended *atomic.Bool) {
	read, ended = &atomic.Int64{}, &atomic.Bool{}
	return func(yield func(core.Row, error) bool) {
		defer ended.Store(true)
		for i := range n {
			read.Add(1)
			if !yield(core.Row{Key: fmt.Sprintf("k%04d", i), Value: []byte("12345")}, nil) {
				return
			}
		}
		if err != nil {
			yield(core.Row{}, err)
		}
	}, read, ended
}

func TestPrefetchYieldsTheSameRows(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, n := range []int{0, 1, 6, 7, 8, 100} {
		for _, err := range []error{nil, broken} {
			seq, _, ended := countedRows(n, err)
			i, last := 0, error(nil)
			for r, err := range prefetch(seq, 7, 1000) {
				if last != nil {
					t.Fatal("something came after the error")
				}
				if last = err; err != nil {
					continue
				}
				if want := fmt.Sprintf("k%04d", i); r.Key != want || string(r.Value) != "12345" {
					t.Fatalf("of %d rows the %d-th is %+v, want %s", n, i, r, want)
				}
				i++
			}
			if i != n || last != err || !ended.Load() {
				t.Errorf("%d rows and %v, want %d and %v", i, last, n, err)
			}
		}
	}
}

// A slow consumer has one chunk, and one more is read: limited by rows, or by
// bytes.
func TestPrefetchReadsOneChunk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rows, bytes int }{{5, 1 << 20}, {1000, 50}} {
		seq, read, ended := countedRows(1000, nil)
		got := 0
		for _, err := range prefetch(seq, c.rows, c.bytes) {
			if err != nil {
				t.Fatal(err)
			}
			if got++; got%5 != 1 {
				continue
			}
			for end := time.Now().Add(10 * time.Second); read.Load() < int64(min(got+9, 1000)); {
				if time.Now().After(end) {
					t.Fatalf("%+v: %d rows read while the %d-th is in hand: the next stretch is not read ahead", c, read.Load(), got)
				}
				runtime.Gosched()
			}
			if n := read.Load(); n > int64(got+9) {
				t.Fatalf("%+v: %d rows read while the %d-th is in hand", c, n, got)
			}
			if got > 50 {
				break
			}
		}
		if n := read.Load(); n != int64(got+9) || !ended.Load() {
			t.Errorf("%+v: given up at row %d, %d were read, still reading: %v", c, got, n, !ended.Load())
		}
	}
}
