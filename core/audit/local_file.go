package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"unibus/core"
)

// file is an append-only log of JSON lines. A line is on disk when append returns nil.
// On a node alone it is the audit. In a cluster it holds the node's copy of the stream
// (local_copy.go), and entries that the stream did not take.
type file struct {
	path  string
	limit int64 // of the size, then the file is moved to path.1; 0: none, on a node alone

	mu         sync.Mutex
	held       *os.File // the file that was opened first; nil: none
	size       int64    // of the file, as far as this process knows
	incomplete bool     // a write failed: the file may end with an incomplete line
	movedAway  bool     // a rotation has moved the full file away, and the new one is not in its place yet
	known      known
	grown      chan struct{} // closed once lines were copied; nil: no caller waits for that
}

const (
	// maxRead is how many bytes of a file are read at once at the start, and how far
	// behind its intent an outcome is looked for: tens of thousands of actions.
	maxRead = 16 << 20
	// fileWindow is how much of a file is read at once for a page, in bytes.
	fileWindow = 1 << 20
)

// check looks at the file. A line that a crash cut short gets an end, so that the
// next one stands by itself.
func (f *file) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.size = 0
		return f.release()
	case err != nil:
		return f.failed("read", err)
	case !info.Mode().IsRegular():
		return core.Errorf(core.KindRefused, "%s is not a regular file", f.path).WithNext("move it away: the audit is appended to a file of the node's own")
	case info.Mode().Perm()&0o077 != 0:
		return core.Errorf(core.KindRefused, "%s can be read by others", f.path).WithNext("chmod 600 %s", f.path)
	}
	f.size = info.Size()
	if f.size == 0 {
		return nil
	}
	data, err := f.tail(f.size-1, f.size)
	if err != nil {
		return f.failed("read", err)
	}
	if data[0] != '\n' {
		return f.write([]byte("\n"))
	}
	return nil
}

// open looks at the file and reads what is known from it.
func (f *file) open() error {
	if err := f.check(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.release(), f.hold()); err != nil {
		return err
	}
	return f.readKnown()
}

func (f *file) failed(what string, err error) error {
	return core.Errorf(core.KindFailed, "the audit's file %s cannot be %s: %w", f.path, what, err).
		WithNext("check the free space and the permissions of its directory")
}

// append writes entries that are not in the stream, and returns them as they were written.
func (f *file) append(entries ...entry) ([]entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known.alone && f.incomplete {
		if err := errors.Join(f.write(nil), f.readLines()); err != nil {
			return nil, err
		}
	}
	next := f.known
	var lines []byte
	var written []entry
	for _, e := range entries {
		if next.alone {
			e.Prev = next.lineHash
		}
		text := e.encode()
		next.add(decodeLine(text), nil)
		lines = append(append(lines, text...), '\n')
		written = append(written, e)
	}
	if err := f.write(lines); err != nil {
		return nil, err
	}
	f.known = next
	return written, nil
}

// write appends and syncs, the directory too where the file is new.
func (f *file) write(lines []byte) error {
	if err := f.endRotation(); err != nil {
		return err
	}
	if f.incomplete {
		lines = append([]byte("\n"), lines...) // or the next entry is lost with the incomplete one
	}
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return f.failed("written", err)
	}
	if err := f.hold(); err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = out.Write(lines)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil && f.size == 0 {
		err = syncDir(filepath.Dir(f.path))
	}
	f.incomplete = err != nil
	if err != nil {
		if info, serr := os.Stat(f.path); serr == nil {
			f.size = info.Size()
		}
		return f.failed("written", err)
	}
	f.size += int64(len(lines))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *file) tail(from, to int64) ([]byte, error) {
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.NewSectionReader(in, from, to-from))
	return data, errors.Join(err, in.Close())
}

// line is one line of the file and where it begins, counted from 1.
type line struct {
	at   uint64
	text []byte
	copied
	entry entry // of a record or an entry; empty for a mark
	bad   bool  // it cannot be read
}

// lines reads lines that lie between two offsets, oldest first. A first line
// that begins before from is left out; next is where the last whole one ends.
func (f *file) lines(from, to int64) (out []line, next int64, err error) {
	begin := max(0, from-1) // to see whether from is the beginning of a line
	data, err := f.tail(begin, to)
	if err != nil {
		return nil, 0, f.failed("read", err)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	at := begin
	for i, text := range bytes.SplitAfter(data, []byte("\n")) {
		place := at
		at += int64(len(text))
		text = bytes.TrimSpace(text)
		if len(text) == 0 || i == 0 && place < from {
			continue
		}
		l := decodeLine(text)
		l.at = uint64(place) + 1
		out = append(out, l)
	}
	return out, at, nil
}

func (f *file) length() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// backward yields the lines that begin before an offset, newest first. It reads a window at
// a time: the file of a node alone has no limit.
func (f *file) backward(end int64) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		for window := int64(fileWindow); end > 0; {
			from := max(0, end-window)
			lines, _, err := f.lines(from, end)
			if err != nil {
				yield(line{}, err)
				return
			}
			for _, l := range slices.Backward(lines) {
				if !yield(l, nil) {
					return
				}
			}
			switch {
			case from == 0:
				return
			case len(lines) == 0: // one line is longer than the window
				window *= 2
			default:
				end, window = int64(lines[0].at)-1, fileWindow
			}
		}
	}
}

// page reads the file backwards from its end, or from q.Before.
func (f *file) page(q Query) (Page, error) {
	size := f.length()
	end := size
	if q.Before > 0 && q.Before-1 < uint64(size) {
		end = int64(q.Before - 1)
	}
	outcomes := map[string]entry{}
	var p Page
	for l, err := range f.backward(end) {
		if err != nil {
			return Page{}, err
		}
		if l.at <= q.Since || !p.add(l.item(), outcomes, q.Limit) {
			break
		}
	}
	return p, f.addOutcomes(p.Records, end, min(size, end+maxRead))
}

func (l line) item() item {
	if l.Mark != "" {
		return item{seq: l.at}
	}
	return item{seq: l.at, entry: &l.entry, bad: l.bad}
}

// addOutcomes reads outcomes that lie after the page.
func (f *file) addOutcomes(records []Record, from, to int64) error {
	lacking := map[string]*Record{}
	for i := range records {
		if r := &records[i]; r.Outcome == OutcomeUnknown && r.ID != "" {
			lacking[r.ID] = r
		}
	}
	for from < to && len(lacking) > 0 {
		lines, next, err := f.lines(from, min(to, from+fileWindow))
		if err != nil {
			return err
		}
		if next <= from {
			return nil // a damaged line that is longer than the window
		}
		for _, l := range lines {
			if r := lacking[l.entry.ID]; r != nil && !l.bad && l.entry.Phase == phaseOutcome {
				r.ended(l.entry)
				delete(lacking, l.entry.ID)
			}
		}
		from = next
	}
	return nil
}
