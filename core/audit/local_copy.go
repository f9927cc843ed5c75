package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"unibus/core"
)

// copyLimit bounds a file with a copy of the stream, in bytes: about 100,000 actions.
// One older file is kept beside it.
const copyLimit = 64 << 20

// older is where the file is moved to when it is full.
func (f *file) older() string { return f.path + ".1" }

// draft is where the next file is written before it takes the place of a full one.
func (f *file) draft() string { return f.path + ".draft" }

// copied is a line about the stream: a record of it, or a mark. A line with an entry
// that is not in the stream has none of these fields.
type copied struct {
	Seq    uint64          `json:"seq,omitempty"`
	Record json.RawMessage `json:"record,omitempty"`
	Raw    []byte          `json:"raw,omitempty"` // in place of Record: what is no line of JSON

	Mark    string      `json:"mark,omitempty"`
	Created string      `json:"created,omitempty"` // of the stream
	Hash    string      `json:"hash,omitempty"`    // of the record Seq
	At      core.Millis `json:"at,omitempty"`
	Text    string      `json:"text,omitempty"`
}

const (
	markStream  = "stream"  // the copy begins, or goes on with a stream that was created anew
	markGap     = "gap"     // records before Seq+1 are missing in the stream
	markRotated = "rotated" // the copy goes on in this file after the record Seq
)

// data is the record as it is in the stream.
func (c copied) data() []byte {
	if c.Raw != nil {
		return c.Raw
	}
	return c.Record
}

func encodeCopied(c copied) []byte {
	if c.Mark == "" && json.Valid(c.Record) && !bytes.ContainsAny(c.Record, "\r\n") && len(bytes.TrimSpace(c.Record)) == len(c.Record) {
		return fmt.Appendf(nil, `{"seq":%d,"record":%s}`, c.Seq, c.Record) // the bytes that were hashed
	}
	if c.Mark == "" {
		c.Raw, c.Record = c.Record, nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic("audit: a line of texts and numbers cannot be encoded: " + err.Error())
	}
	return text
}

// decodeLine reads a line of the file.
func decodeLine(text []byte) line {
	l := line{text: text}
	if err := json.Unmarshal(text, &l.copied); err != nil {
		return line{text: text, bad: true}
	}
	if l.Mark != "" {
		return l
	}
	data := text
	if l.Seq > 0 {
		data = l.data()
	}
	var err error
	l.entry, err = decodeEntry(data)
	l.bad = err != nil
	return l
}

// known is what the lines of the file say about the stream.
type known struct {
	alone   bool   // the file is the audit, and nothing of it is pending
	created string // when the stream was created; "": nothing was copied yet
	end     position
	pending []entry // not in the stream yet, oldest first

	checkpointAt core.Millis // of the newest checkpoint; 0: none
	unsigned     int         // records after it

	lineHash string // of the last line
}

// add takes the next line. inStream holds the entries that were copied so far.
func (k *known) add(l line, inStream map[entryKey]bool) {
	k.lineHash = hashOf(l.text)
	switch {
	case l.Mark != "":
		k.mark(l.copied)
	case l.Seq > 0:
		k.record(l.Seq, l.data(), l.entry)
		inStream[keyOf(l.entry)] = true
	case !l.bad && l.entry.Phase == phaseCheckpoint:
		k.checkpointAt, k.unsigned = l.entry.At, 0
	case !l.bad && k.alone:
		k.unsigned++
	case !l.bad && !inStream[keyOf(l.entry)]:
		k.pending = append(k.pending, l.entry)
	}
}

func (k *known) mark(c copied) {
	switch c.Mark {
	case markStream:
		k.created, k.end = c.Created, position{hash: noRecord}
		k.checkpointAt, k.unsigned = 0, 0
	case markGap:
		k.end = position{seq: c.Seq}
	case markRotated:
		k.created, k.end = c.Created, position{seq: c.Seq, hash: c.Hash}
	}
}

func (k *known) record(seq uint64, data []byte, e entry) {
	k.end = position{seq: seq, hash: hashOf(data)}
	k.unsigned++
	if e.Phase == phaseCheckpoint {
		k.checkpointAt, k.unsigned = e.At, 0
	}
	k.resolve(e)
}

// resolve forgets a pending entry that is in the stream.
func (k *known) resolve(e entry) {
	if i := slices.IndexFunc(k.pending, func(p entry) bool { return keyOf(p) == keyOf(e) }); i >= 0 {
		k.pending = slices.Delete(k.pending, i, i+1)
	}
}

type entryKey struct{ id, phase string }

func keyOf(e entry) entryKey { return entryKey{e.ID, e.Phase} }

// readKnown reads the whole file. After a crash between the two renames of a rotation
// the older file is the only one.
func (f *file) readKnown() error {
	if f.limit > 0 && f.size == 0 {
		before := file{path: f.older(), limit: f.limit}
		info, err := os.Stat(before.path)
		if errors.Is(err, fs.ErrNotExist) {
			return f.readLines()
		}
		if err != nil {
			return f.failed("read", err)
		}
		before.size = info.Size()
		if err := before.readLines(); err != nil {
			return err
		}
		f.known = before.known
		return f.write(f.head())
	}
	return f.readLines()
}

func (f *file) readLines() error {
	inStream := map[entryKey]bool{}
	f.known = known{alone: f.limit == 0, lineHash: noRecord}
	for from := int64(0); from < f.size; {
		lines, next, err := f.lines(from, min(f.size, from+maxRead))
		if err != nil {
			return err
		}
		if next <= from {
			break // an incomplete line, of a write that failed
		}
		for _, l := range lines {
			f.known.add(l, inStream)
		}
		from = next
	}
	return nil
}

// addCopied writes records that follow the last one of the copy, and marks. It leaves
// out records that the copy has, and returns false where one does not follow.
func (f *file) addCopied(created string, lines ...copied) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.known
	next.pending = slices.Clone(next.pending)
	var text []byte
	for _, c := range lines {
		switch {
		case c.Mark == "" && (created != next.created || c.Seq > next.end.seq+1):
			return false, nil
		case c.Mark == "" && c.Seq <= next.end.seq:
			continue
		}
		l := encodeCopied(c)
		next.add(decodeLine(l), map[entryKey]bool{})
		text = append(append(text, l...), '\n')
	}
	if len(text) == 0 {
		return true, nil
	}
	if err := f.write(text); err != nil {
		return false, err
	}
	f.known = next
	if f.grown != nil {
		close(f.grown)
		f.grown = nil
	}
	return true, f.rotate()
}

// growth returns a channel that is closed once further lines were copied; nil while the
// file takes none.
func (f *file) growth() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.incomplete {
		return nil
	}
	if f.grown == nil {
		f.grown = make(chan struct{})
	}
	return f.grown
}

// rotate moves a full file away and goes on in a new one, which repeats the entries
// that are still to be added to the stream.
func (f *file) rotate() error {
	if f.limit == 0 || f.size < f.limit {
		return nil
	}
	if err := f.moveAway(); err != nil {
		return err
	}
	return f.endRotation()
}

// moveAway writes the new file beside the full one, and moves that one away.
func (f *file) moveAway() error {
	draft := file{path: f.draft()}
	if err := os.Remove(draft.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.failed("rotated", err)
	}
	if err := errors.Join(draft.write(f.head()), draft.release()); err != nil {
		return err
	}
	if err := os.Rename(f.path, f.older()); err != nil {
		return f.failed("rotated", err)
	}
	f.movedAway = true
	return nil
}

// endRotation puts the new file into its place. Until that is done nothing else may be
// written there: the next rotation would move it over the full file.
func (f *file) endRotation() error {
	if !f.movedAway {
		return nil
	}
	info, err := os.Stat(f.draft())
	if err == nil {
		err = os.Rename(f.draft(), f.path)
	}
	if err != nil {
		return f.failed("rotated", err)
	}
	f.movedAway, f.size, f.incomplete = false, info.Size(), false
	if err := errors.Join(f.release(), f.hold()); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return f.failed("rotated", err)
	}
	return nil
}

// head is the beginning of a file that continues another.
func (f *file) head() []byte {
	mark := copied{Mark: markRotated, Created: f.known.created, Seq: f.known.end.seq, Hash: f.known.end.hash, Text: "the records before are in " + filepath.Base(f.older())}
	text := append(encodeCopied(mark), '\n')
	for _, e := range f.known.pending {
		text = append(append(text, e.encode()...), '\n')
	}
	return text
}

// state returns what is known of the stream.
func (f *file) state() known {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known
	k.pending = slices.Clone(k.pending)
	return k
}

// added forgets an entry that is in the stream.
func (f *file) added(e entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known.resolve(e)
}
