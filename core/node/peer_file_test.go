package node

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"testing"

	"unibus/core"
)

func manyRows(n int, end error) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		for i := range n {
			if !yield(core.Row{Key: fmt.Sprintf("k%06d", i), Value: fmt.Append(nil, i)}, nil) {
				return
			}
		}
		if end != nil {
			yield(core.Row{}, end)
		}
	}
}

// TestPages: every row is in one page, in order, and no page is too large for a message.
func TestPages(t *testing.T) {
	t.Parallel()
	broken := core.Errorf(core.KindFailed, "page 7 is damaged")
	for _, c := range []struct {
		rows int
		end  error
		want int // full pages
	}{{0, nil, 0}, {1, nil, 0}, {100_000, nil, 27}, {100_000, broken, 27}, {0, broken, 0}} {
		seen, sent := 0, 0
		count := func(p digestPage) {
			body, err := json.Marshal(p)
			if err != nil || len(body) > 512<<10 {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			for _, r := range p.Rows {
				if sum := sha256.Sum256(fmt.Append(nil, seen)); r.Key != fmt.Sprintf("k%06d", seen) || string(r.SHA256) != string(sum[:]) {
					t.Fatalf("row %d is %s", seen, r.Key)
				}
				seen++
			}
		}
		last, err := splitIntoPages(manyRows(c.rows, c.end), func(p digestPage) error {
			sent++
			if count(p); p.End {
				t.Error("a page before the last says that it is the end")
			}
			return nil
		})
		count(last)
		if err != nil || seen != c.rows || sent != c.want || !last.End || (last.Error != nil) != (c.end != nil) {
			t.Errorf("%d rows, %v: %d in %d pages, the last %v, %v", c.rows, c.end, seen, sent, last.Error, err)
		}
	}
}

// TestPagesEndWithTheirReader: when the asking node has gone, the file is not read further.
func TestPagesEndWithTheirReader(t *testing.T) {
	t.Parallel()
	read := 0
	rows := func(yield func(core.Row, error) bool) {
		for r, err := range manyRows(100_000, nil) {
			if read++; !yield(r, err) {
				return
			}
		}
	}
	if _, err := splitIntoPages(rows, func(digestPage) error { return errNoMoreWanted }); err != errNoMoreWanted || read > 10_000 {
		t.Errorf("%v after %d rows", err, read)
	}
}
