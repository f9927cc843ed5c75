package node

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/support"
)

const (
	maxRingLines = 1000
	maxRingText  = 1024      // bytes of a line's text, and of each of its attributes
	maxRingAttrs = 16        // of a line
	maxLogReport = 384 << 10 // bytes of the lines in a report, which has to fit into one message
)

// logRing passes a log on and keeps its last lines in memory, for the support bundle. It
// stands behind the filter of repeated lines: it holds what is logged.
type logRing struct {
	next   slog.Handler
	prefix string      // of the group
	attrs  []slog.Attr // of With
	state  *ringState
}

type ringState struct {
	mu      sync.Mutex
	lines   []support.Line
	next    int // the place of the next line once lines is full
	dropped int
	clients int
}

func newLogRing(next slog.Handler) *logRing { return &logRing{next: next, state: &ringState{}} }

var _ slog.Handler = (*logRing)(nil)

// Enabled implements slog.Handler.
func (r *logRing) Enabled(ctx context.Context, l slog.Level) bool { return r.next.Enabled(ctx, l) }

// WithGroup implements slog.Handler.
func (r *logRing) WithGroup(name string) slog.Handler {
	return &logRing{r.next.WithGroup(name), r.prefix + name + ".", r.attrs, r.state}
}

// WithAttrs implements slog.Handler.
func (r *logRing) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := append([]slog.Attr{}, r.attrs...)
	for _, a := range attrs {
		a.Key = r.prefix + a.Key
		all = append(all, a)
	}
	return &logRing{r.next.WithAttrs(attrs), r.prefix, all, r.state}
}

// Handle implements slog.Handler.
func (r *logRing) Handle(ctx context.Context, record slog.Record) error {
	line := support.Line{At: core.MillisOf(record.Time), Level: record.Level.String(), Text: core.CutText(record.Message, maxRingText), Attrs: map[string]string{}}
	put := func(a slog.Attr) bool {
		if len(line.Attrs) < maxRingAttrs {
			line.Attrs[a.Key] = core.CutText(attrText(a.Value), maxRingText)
		}
		return true
	}
	for _, a := range r.attrs {
		put(a)
	}
	record.Attrs(func(a slog.Attr) bool { a.Key = r.prefix + a.Key; return put(a) })
	r.state.add(line)
	return r.next.Handle(ctx, record)
}

func attrText(v slog.Value) string {
	v = v.Resolve()
	if v.Kind() == slog.KindTime {
		return v.Time().UTC().Format(time.RFC3339)
	}
	return v.String()
}

// add keeps a line. Those of the embedded server about a single client hold what clients chose:
// subjects and names. They are counted.
func (s *ringState) add(line support.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line.Attrs["from"] == "nats-server" && strings.Contains(line.Text, " cid:") || strings.Contains(line.Text, "- cid:") {
		s.clients++
		return
	}
	if len(s.lines) < maxRingLines {
		s.lines = append(s.lines, line)
		return
	}
	s.lines[s.next] = line
	s.next = (s.next + 1) % maxRingLines
	s.dropped++
}

// report returns the last lines that fit into a report.
func (s *ringState) report() support.Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append(append([]support.Line{}, s.lines[s.next:]...), s.lines[:s.next]...)
	size, first := 0, len(all)
	for first > 0 {
		if size += lineBytes(all[first-1]); size > maxLogReport {
			break
		}
		first--
	}
	out := support.Log{Dropped: s.dropped + first, Clients: s.clients, Lines: all[first:]}
	if len(out.Lines) > 0 {
		out.Since = out.Lines[0].At
	}
	return out
}

// lineBytes is about what a line takes in a report: escapes can make it longer.
func lineBytes(l support.Line) int {
	n := 2*len(l.Text) + 64
	for k, v := range l.Attrs {
		n += len(k) + 2*len(v) + 8
	}
	return n
}
