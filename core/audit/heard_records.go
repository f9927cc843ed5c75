package audit

import (
	"context"
	"sync"
)

// maxHeard and maxHeardSize bound what is kept of records that were heard of.
const (
	maxHeard     = 2048
	maxHeardSize = 8 << 10
)

// heardRecords are records as their nodes sent them to the stream, by their hashes. Whether
// the stream took them, and where, only the hash in a record of the stream says.
type heardRecords struct {
	mu     sync.Mutex
	byHash map[string][]byte
	order  []string // the oldest first
}

func (h *heardRecords) add(data []byte) {
	if len(data) > maxHeardSize {
		return
	}
	hash := hashOf(data)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byHash == nil {
		h.byHash = map[string][]byte{}
	}
	if _, there := h.byHash[hash]; there {
		return
	}
	if len(h.order) == maxHeard {
		delete(h.byHash, h.order[0])
		h.order = h.order[1:]
	}
	h.byHash[hash], h.order = data, append(h.order, hash)
}

func (h *heardRecords) find(hash string) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data, ok := h.byHash[hash]
	return data, ok
}

// chain returns the records between a record that the copy has and one of the stream: each
// has the hash of the one before it. It is false where one was not heard of, or where the
// stream does not have one record for each sequence.
func (h *heardRecords) chain(end position, last item) ([]item, bool) {
	if last.entry == nil || last.bad || last.seq <= end.seq {
		return nil, false
	}
	items := make([]item, last.seq-end.seq)
	for i := len(items) - 1; ; i-- {
		items[i] = last
		if i == 0 {
			return items, last.entry.Prev == end.hash
		}
		data, heard := h.find(last.entry.Prev)
		if !heard {
			return nil, false
		}
		e, err := decodeEntry(data)
		if err != nil {
			return nil, false
		}
		last = item{seq: last.seq - 1, data: data, entry: &e}
	}
}

// read reads the messages from one sequence to another, as fetch does: only the last one
// from the stream where the others were heard of.
func (f *follower) read(ctx context.Context, from, to uint64) ([]item, error) {
	end := f.l.file.state().end
	if end.seq+1 != from || end.hash == "" || from == to {
		return f.l.stream.fetch(ctx, from, to)
	}
	last, err := f.l.stream.fetch(ctx, to, to)
	if err != nil {
		return nil, err
	}
	if items, ok := f.heard.chain(end, last[0]); ok {
		return items, nil
	}
	return f.l.stream.fetch(ctx, from, to)
}
