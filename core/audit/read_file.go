package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"unibus/core"
)

// FileRecords are the actions that files of nodes hold, the newest first.
type FileRecords struct {
	Records []Record
	Damaged int  // lines that cannot be read
	Cut     bool // records before the oldest ones were deleted, or were never copied
}

// ReadFiles reads copies of the audit, each with the older file beside it, while no node
// has to run. Records that several files hold are returned once: each node's file may have
// actions that the node could not add to the cluster's audit any more. KindInvalid.
func ReadFiles(paths ...string) (FileRecords, error) {
	r := fileReader{intents: map[string]Record{}, outcomes: map[string]entry{}, at: map[sequence]entryKey{}, forks: map[string]uint64{}}
	cut := true
	for _, path := range paths {
		r.copied, r.cut = false, false
		r.file, r.stream = "file "+path, "file "+path+" stream"
		if err := eachLine(path, r.line); err != nil {
			return FileRecords{}, err
		}
		cut = cut && r.cut
	}
	if len(r.intents) == 0 && r.lines == 0 {
		return FileRecords{}, noRecords(paths[0])
	}
	return FileRecords{Records: r.records(), Damaged: r.damaged, Cut: cut}, nil
}

// fileReader collects entries by the id of their action.
type fileReader struct {
	intents  map[string]Record
	outcomes map[string]entry
	at       map[sequence]entryKey // what each stream has at a sequence
	forks    map[string]uint64     // by stream: from here on, files have different records of the same number
	lines    int                   // that could be read
	damaged  int

	file, stream string // the sources of this file's own entries, and of the records that it copies
	copied, cut  bool   // this file has a record of the stream, and its first one is not the stream's first
}

func (r *fileReader) line(at uint64, text []byte) {
	l := decodeLine(text)
	if l.bad {
		r.damaged++
		return
	}
	r.lines++
	if !r.copied && l.Seq > 0 { // of a record, or of a mark before which records are missing
		r.copied, r.cut = true, l.Mark != "" || l.Seq > 1
	}
	if l.Mark != "" {
		if l.Created != "" { // every node's copy names the stream by it
			r.stream = "stream " + l.Created
		}
		return
	}
	seq, source := l.Seq, r.stream
	if seq == 0 {
		seq, source = at, r.file
	}
	r.note(sequence{source, seq}, keyOf(l.entry))
	switch e := l.entry; e.Phase {
	case phaseOutcome:
		r.outcomes[e.ID] = e
	case phaseIntent:
		if _, known := r.intents[e.ID]; !known || l.Seq > 0 { // the stream's number is the better one
			record := e.record(seq)
			record.Source = source
			r.intents[e.ID] = record
		}
	}
}

type sequence struct {
	source string
	seq    uint64
}

// note finds where a stream has lost its end and given the numbers again: they are no order then.
func (r *fileReader) note(at sequence, key entryKey) {
	had, ok := r.at[at]
	if fork, known := r.forks[at.source]; ok && had != key && (!known || at.seq < fork) {
		r.forks[at.source] = at.seq
	}
	r.at[at] = key
}

func (r *fileReader) records() []Record {
	out := make([]Record, 0, len(r.intents))
	for id, record := range r.intents {
		if o, ok := r.outcomes[id]; ok {
			record.ended(o)
		}
		if fork, ok := r.forks[record.Source]; ok && record.Seq >= fork {
			record.Source += " " + id
		}
		out = append(out, record)
	}
	slices.SortFunc(out, newestFirst)
	return out
}

func newestFirst(a, b Record) int {
	return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.ID, a.ID))
}

func unreadableFile(path string, err error) error {
	return core.Errorf(core.KindInvalid, "%s cannot be read: %w", path, err).WithNext("name the audit.jsonl of a node, or a copy of it, with --file")
}

func noRecords(path string) error {
	return core.Errorf(core.KindInvalid, "%s holds no record of an audit", path).WithNext("name the audit.jsonl of a node, or a copy of it, with --file")
}

// eachLine calls do for each line of the older file beside a copy, if there is one, and
// then for each line of the copy. It gives the line's number, counted from 1.
func eachLine(path string, do func(at uint64, text []byte)) error {
	for i, name := range []string{(&file{path: path}).older(), path} {
		in, err := os.Open(name)
		if i == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(readLines(in, do), in.Close())
		}
		if err != nil {
			return unreadableFile(name, err)
		}
	}
	return nil
}

func readLines(in io.Reader, do func(at uint64, text []byte)) error {
	lines := bufio.NewReader(in)
	at := uint64(1)
	for {
		text, err := lines.ReadBytes('\n')
		if whole := bytes.TrimSpace(text); len(whole) > 0 {
			do(at, whole)
		}
		at += uint64(len(text))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
