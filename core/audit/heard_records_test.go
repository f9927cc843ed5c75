package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chainOf is some records of which each has the hash of the one before it, the first one
// that of before.
func chainOf(before string, n int) (records [][]byte) {
	for i := range n {
		m := encodeRecord("n1", entry{V: entryVersion, ID: fmt.Sprint(before[:4], i), Phase: phaseIntent}, 0, before)
		before = hashOf(m.Data)
		records = append(records, m.Data)
	}
	return records
}

// TestHeardRecordsAreAChain: records that were heard are in the copy only if the hash in the
// stream's own record proves them: all of them, and in this order.
func TestHeardRecordsAreAChain(t *testing.T) {
	t.Parallel()
	records := chainOf(noRecord, 6)
	forged := chainOf(hashOf(records[0]), 5)
	itemOf := func(seq uint64, data []byte) item {
		e, err := decodeEntry(data)
		return item{seq: seq, data: data, entry: &e, bad: err != nil}
	}
	start := position{seq: 1, hash: hashOf(records[0])} // the copy has the first
	for name, c := range map[string]struct {
		end   position
		heard [][]byte
		last  item
		want  bool
	}{
		"all were heard of":              {start, records, itemOf(6, records[5]), true},
		"in any order":                   {start, append(slices.Clone(forged), records[4], records[3], records[1], records[2]), itemOf(6, records[5]), true},
		"only the last one":              {position{seq: 5, hash: hashOf(records[4])}, nil, itemOf(6, records[5]), true},
		"one was not":                    {start, append(slices.Clone(records[:2]), records[3:]...), itemOf(6, records[5]), false},
		"another record follows":         {start, forged, itemOf(6, records[5]), false},
		"the stream has a gap":           {start, records, itemOf(9, records[5]), false},
		"the copy has another record":    {position{seq: 1, hash: hashOf(forged[0])}, records, itemOf(6, records[5]), false},
		"the stream does not have it":    {start, records, item{seq: 6}, false},
		"the stream's cannot be read":    {start, records, itemOf(6, []byte("{")), false},
		"the copy is as new as that one": {position{seq: 6, hash: hashOf(records[5])}, records, itemOf(6, records[5]), false},
	} {
		var h heardRecords
		for _, r := range c.heard {
			h.add(r)
		}
		items, ok := h.chain(c.end, c.last)
		if ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
		for i, it := range items {
			if n := it.seq - 1; ok && (string(it.data) != string(records[n]) || it.seq != c.end.seq+1+uint64(i)) {
				t.Errorf("%s: item %d is %d, %s", name, i, it.seq, it.data)
			}
		}
	}
}

// TestHeardRecordsAreBounded in number and size; records that are not kept are read from the
// stream.
func TestHeardRecordsAreBounded(t *testing.T) {
	t.Parallel()
	var h heardRecords
	h.add([]byte(strings.Repeat("x", maxHeardSize+1)))
	for i := range maxHeard + 10 {
		h.add(fmt.Append(nil, i))
		h.add(fmt.Append(nil, i)) // twice is once
	}
	if len(h.byHash) != maxHeard || len(h.order) != maxHeard {
		t.Errorf("%d records are kept, %d in order", len(h.byHash), len(h.order))
	}
	if _, ok := h.find(hashOf([]byte("0"))); ok {
		t.Error("the oldest one is kept")
	}
}
