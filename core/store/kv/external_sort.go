package kv

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"syscall"

	"unibus/core"
)

const (
	defaultSortMemory = 4 << 20
	blockBytes        = 16 << 10 // what each run holds in memory while runs are merged
)

// sorter puts entries into bytewise key order in bounded memory, and keeps the
// newest of each key. Entries are gathered in memory up to a budget, then sorted
// and spilled as a run into a temporary file, and the runs are merged. Entries
// that fit into the budget never touch the disk. A merge needs 16 KiB a run: for a
// table of 1,000,000 rows of 300 bytes that is 1.2 MiB.
type sorter struct {
	dir    string
	budget int // bytes gathered before they are spilled

	text  []byte // keys and values of what is gathered
	items []item

	file *os.File // unlinked; nil before the first spill
	size int64
	runs []run

	keys int // that the last each went through, deleted ones too
}

// item is an entry in the sorter's text: the key, and after it the value.
type item struct {
	rev     uint64
	off     int
	key     uint16
	value   uint32
	deleted bool
}

const itemBytes = 32

// run is a part of the file in key order, no key twice.
type run struct {
	off, end int64
	last     []byte // its last key
}

func newSorter(dir string, budget int) *sorter {
	if budget <= 0 {
		budget = defaultSortMemory
	}
	return &sorter{dir: dir, budget: budget}
}

// add takes a copy of the entry. Entries may come in any order: rev says which of
// two is the newer.
func (s *sorter) add(e entry) error {
	if len(e.key) > math.MaxUint16 || len(e.value) > math.MaxUint32 {
		return core.Errorf(core.KindFailed, "the record %.40s is too large to be put in order", e.key)
	}
	used := len(s.text) + len(s.items)*itemBytes
	if len(s.items) > 0 && used+len(e.key)+len(e.value)+itemBytes > s.budget {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.items = append(s.items, item{e.rev, len(s.text), uint16(len(e.key)), uint32(len(e.value)), e.deleted})
	s.text = append(append(s.text, e.key...), e.value...)
	return nil
}

func (s *sorter) keyOf(i item) []byte { return s.text[i.off:][:i.key] }

func (s *sorter) valueOf(i item) []byte { return s.text[i.off+int(i.key):][:i.value] }

// each calls do for the newest entry of every key, in key order, without deleted
// ones. Key and value are the caller's. It may be called again.
func (s *sorter) each(do func(entry) error) error {
	s.keys = 0
	if s.file == nil {
		for _, i := range s.sortGathered() {
			s.keys++
			if i.deleted {
				continue
			}
			if err := do(entry{key: string(s.keyOf(i)), value: bytes.Clone(s.valueOf(i)), rev: i.rev}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	return s.merge(do)
}

// sortGathered sorts what is gathered and keeps the newest of each key.
func (s *sorter) sortGathered() []item {
	slices.SortFunc(s.items, func(a, b item) int {
		return cmp.Or(bytes.Compare(s.keyOf(a), s.keyOf(b)), cmp.Compare(b.rev, a.rev))
	})
	s.items = slices.CompactFunc(s.items, func(a, b item) bool { return bytes.Equal(s.keyOf(a), s.keyOf(b)) })
	return s.items
}

// spill writes the gathered items as a run. If they begin after the last run's end
// in key order, as the rows of a copy do, spill extends that run.
func (s *sorter) spill() error {
	items := s.sortGathered()
	if len(items) == 0 {
		return nil
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return s.explain(err)
		}
	}
	w := blockWriter{file: s.file, at: s.size}
	for _, i := range items {
		if err := w.entry(i, s.text[i.off:][:int(i.key)+int(i.value)]); err != nil {
			return s.explain(err)
		}
	}
	if err := w.flush(); err != nil {
		return s.explain(err)
	}
	last := bytes.Clone(s.keyOf(items[len(items)-1]))
	if n := len(s.runs); n > 0 && bytes.Compare(s.runs[n-1].last, s.keyOf(items[0])) < 0 {
		s.runs[n-1].end, s.runs[n-1].last = w.at, last
	} else {
		s.runs = append(s.runs, run{s.size, w.at, last})
	}
	s.size, s.items, s.text = w.at, s.items[:0], s.text[:0]
	return nil
}

// open makes the file, which only its owner can read, and removes its name: it is
// gone with the process, however that ends.
func (s *sorter) open() error {
	if s.dir != "" {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(s.dir, "unibus-sort-*") // 0600
	if err != nil {
		return err
	}
	s.file = f
	return os.Remove(f.Name())
}

// reset starts again with nothing; the file's space is used again.
func (s *sorter) reset() { s.size, s.items, s.text, s.runs = 0, s.items[:0], s.text[:0], nil }

// close gives the disk space back. Twice is harmless.
func (s *sorter) close() {
	if s.file != nil {
		_ = s.file.Close() // nothing in it is needed any more
	}
	s.items, s.text, s.runs = nil, nil, nil
}

func (s *sorter) explain(err error) error {
	dir := s.dir
	if dir == "" {
		dir = os.TempDir()
	}
	switch {
	case errors.Is(err, errDamaged):
		return core.Errorf(core.KindFailed, "the temporary file in %s, with which a table is put in order, came back damaged from the disk", dir).
			WithNext("nothing was lost: check the disk, and start again")
	case errors.Is(err, syscall.ENOSPC):
		return &core.Error{
			Kind: core.KindFailed, Err: err,
			Text: "there is no space in " + dir + " to put a table in order",
			Next: "free as much space there as the largest table takes, once for each node, and start again",
		}
	}
	return &core.Error{
		Kind: core.KindFailed, Err: err, Text: "the temporary file in " + dir + ", with which a table is put in order, cannot be used",
		Next: "see that the directory can be written by this program, and start again",
	}
}

// merge reads all runs side by side. The entry with the newest rev of a key comes first.
func (s *sorter) merge(do func(entry) error) error {
	var h cursors
	for _, r := range s.runs {
		c := &cursor{in: blockReader{file: s.file, at: r.off, end: r.end}}
		if ok, err := c.next(); err != nil {
			return s.explain(err)
		} else if ok {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	var last []byte
	for began := false; len(h) > 0; {
		c := h[0]
		if !began || !bytes.Equal(c.key, last) {
			began, last = true, append(last[:0], c.key...)
			s.keys++
			e, err := c.entry()
			if err != nil {
				return s.explain(err)
			}
			if !c.deleted {
				if err := do(e); err != nil {
					return err
				}
			}
		}
		ok, err := c.next()
		switch {
		case err != nil:
			return s.explain(err)
		case ok:
			heap.Fix(&h, 0)
		default:
			heap.Pop(&h)
		}
	}
	return nil
}

// cursors is a heap: the smallest key at the top, of one key the newest.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(a, b int) bool {
	return cmp.Or(bytes.Compare(h[a].key, h[b].key), cmp.Compare(h[b].rev, h[a].rev)) < 0
}
func (h cursors) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *cursors) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	c := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return c
}

// cursor is the position of the merge in one run. A value is read only where it
// counts.
type cursor struct {
	in      blockReader
	key     []byte
	rev     uint64
	value   int // bytes that are still to be read
	deleted bool
}

// entryHeader precedes key and value: rev, length of the value, of the key, deleted.
const entryHeader = 8 + 4 + 2 + 1

// next goes to the next entry; false at the end of the run.
func (c *cursor) next() (bool, error) {
	if _, err := io.CopyN(io.Discard, &c.in, int64(c.value)); err != nil {
		return false, damaged(err)
	}
	c.value = 0
	var h [entryHeader]byte
	if _, err := io.ReadFull(&c.in, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, damaged(err)
	}
	c.rev, c.value, c.deleted = binary.BigEndian.Uint64(h[:]), int(binary.BigEndian.Uint32(h[8:])), h[14] == 1
	c.key = slices.Grow(c.key[:0], int(binary.BigEndian.Uint16(h[12:])))[:binary.BigEndian.Uint16(h[12:])]
	_, err := io.ReadFull(&c.in, c.key)
	return err == nil, damaged(err)
}

// entry is the entry at the cursor.
func (c *cursor) entry() (entry, error) {
	e := entry{key: string(c.key), value: make([]byte, c.value), rev: c.rev, deleted: c.deleted}
	_, err := io.ReadFull(&c.in, e.value)
	c.value = 0
	return e, damaged(err)
}

// errDamaged is for blocks that are not what was written.
var errDamaged = errors.New("a block is damaged")

// damaged is for a run that ends in the middle of an entry.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}

// Each block is the CRC-32C of its place and payload, the payload's length, and the payload.
const blockHeader = 4 + 4

func blockSum(at int64, payload []byte) uint32 {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], uint64(at))
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the library
	return crc32.Update(crc32.Checksum(place[:], table), table, payload)
}

type blockWriter struct {
	file io.WriterAt
	at   int64
	buf  []byte // header and payload of the block to come
}

func (w *blockWriter) entry(i item, text []byte) error {
	h := binary.BigEndian.AppendUint64(make([]byte, 0, entryHeader), i.rev)
	h = binary.BigEndian.AppendUint32(h, i.value)
	h = binary.BigEndian.AppendUint16(h, i.key)
	h = append(h, 0)
	if i.deleted {
		h[entryHeader-1] = 1
	}
	if err := w.write(h); err != nil {
		return err
	}
	return w.write(text)
}

func (w *blockWriter) write(p []byte) error {
	for len(p) > 0 {
		if w.buf == nil {
			w.buf = make([]byte, blockHeader, blockBytes)
		}
		n := min(len(p), blockBytes-len(w.buf))
		w.buf, p = append(w.buf, p[:n]...), p[n:]
		if len(w.buf) == blockBytes {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *blockWriter) flush() error {
	if len(w.buf) <= blockHeader {
		return nil
	}
	binary.BigEndian.PutUint32(w.buf, blockSum(w.at, w.buf[blockHeader:]))
	binary.BigEndian.PutUint32(w.buf[4:], uint32(len(w.buf)-blockHeader))
	n, err := w.file.WriteAt(w.buf, w.at)
	w.at += int64(n)
	w.buf = w.buf[:blockHeader]
	return err
}

// blockReader reads the payloads of the blocks from at to end as one text.
type blockReader struct {
	file    io.ReaderAt
	at, end int64
	buf     []byte
	rest    []byte
}

// Read implements io.Reader; a block is checked before anything of it is handed out.
func (r *blockReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *blockReader) fill() error {
	if r.at == r.end {
		return io.EOF
	}
	if r.buf == nil {
		r.buf = make([]byte, blockBytes)
	}
	have := r.buf[:min(blockBytes, r.end-r.at)]
	if _, err := r.file.ReadAt(have, r.at); err != nil {
		return damaged(err)
	}
	if len(have) <= blockHeader {
		return errDamaged
	}
	n := int64(binary.BigEndian.Uint32(have[4:]))
	if n == 0 || n > int64(len(have)-blockHeader) || binary.BigEndian.Uint32(have) != blockSum(r.at, have[blockHeader:][:n]) {
		return errDamaged
	}
	r.at, r.rest = r.at+blockHeader+n, have[blockHeader:][:n]
	return nil
}
