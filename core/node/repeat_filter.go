package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/cluster"
)

const (
	maxRepeats  = 512              // distinct lines that are remembered
	repeatEnds  = 15 * time.Minute // after so long a line is a new one
	repeatFirst = time.Minute      // until the first summary; each next one comes later, by repeatGrow
	repeatLast  = time.Hour
	repeatGrow  = 10
	// A line is worth a finding where it came so often, for so long, and lately.
	repeatOften = 10
	repeatLong  = time.Minute
	repeatLate  = 2 * repeatFirst
	// It is over once it has not come for twice the longest of its last pauses: a cluster that is well
	// again would be called degraded for minutes.
	repeatGaps  = 2
	repeatQuiet = 5 * time.Second
	maxLineText = 240
)

// repeatFilter logs a line once, and then how often it came again. A peer that is down,
// a scanner or a client with a wrong key would else write lines for as long as they are
// there, and fill the disk. It filters warnings, errors and refused connections; two lines are the same
// where they differ in ports, counters and times alone.
type repeatFilter struct {
	next   slog.Handler
	prefix string // the attributes of With, as a part of the key
	state  *repeatState
}

type repeatState struct {
	rules []repeatRule
	mu    sync.Mutex
	lines map[string]*repeatedLine
}

// repeatRule replaces what differs between two lines that say the same.
type repeatRule struct {
	find *regexp.Regexp
	by   string
}

type repeatedLine struct {
	handler     slog.Handler // of the last one
	record      slog.Record
	text        string // of the first one
	first, last time.Time
	began       time.Time                  // of those that came without a pause of repeatLate
	count       int                        // since then
	pauses      [repeatOften]time.Duration // before the last ones of these, by their count
	omitted     int                        // since the last one that was logged
	pause       time.Duration
	due         time.Time // of the next summary
}

func newRepeatFilter(next slog.Handler) *repeatFilter {
	rules := []repeatRule{
		{regexp.MustCompile(` - [a-z]*id:\d+ - `), " - "},                                       // the server's number of a connection
		{regexp.MustCompile(`(remote=\S+):\d+`), "$1"},                                          // the other end's port
		{regexp.MustCompile(`^(\S+):\d+ - `), "$1 - "},                                          // likewise, as the server begins its lines
		{regexp.MustCompile(`(\S):\d+->`), "$1->"},                                              // the own port of a connection
		{regexp.MustCompile(`attempt \d+`), "attempt #"},                                        //
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "TIME"}, // crypto/x509 says the present one of an expired certificate
		{regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s|m|h)\b`), "#"},                            // durations
		{regexp.MustCompile(`(^|[\s(="])\d+(?:\.\d+)?([\s),;"]|\.\s|\.?$)`), "$1#$2"},           // counts
	}
	return &repeatFilter{next: next, state: &repeatState{rules: rules, lines: map[string]*repeatedLine{}}}
}

var _ slog.Handler = (*repeatFilter)(nil)

// Enabled implements slog.Handler.
func (f *repeatFilter) Enabled(ctx context.Context, l slog.Level) bool { return f.next.Enabled(ctx, l) }

// WithGroup implements slog.Handler.
func (f *repeatFilter) WithGroup(name string) slog.Handler {
	return &repeatFilter{f.next.WithGroup(name), f.prefix + name + ".", f.state}
}

// WithAttrs implements slog.Handler.
func (f *repeatFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	prefix := f.prefix
	for _, a := range attrs {
		prefix += a.String() + " "
	}
	return &repeatFilter{f.next.WithAttrs(attrs), prefix, f.state}
}

// Handle implements slog.Handler.
func (f *repeatFilter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn && r.Message != bus.RefusedConnection && r.Message != bus.UndecidedConnection {
		return f.next.Handle(ctx, r)
	}
	var errs []error
	for _, l := range f.state.count(f, r, lineText(r)) {
		errs = append(errs, l.handler.Handle(ctx, l.record))
	}
	return errors.Join(errs...)
}

// lineText is a line without its level and time.
func lineText(r slog.Record) string {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "from" {
			text += " " + a.String()
		}
		return true
	})
	return text
}

// loggedLine is a line that is to be logged.
type loggedLine struct {
	handler slog.Handler
	record  slog.Record
}

// count counts a line. It returns what is to be logged, which may be nothing.
func (s *repeatState) count(f *repeatFilter, r slog.Record, text string) (out []loggedLine) {
	key := r.Level.String() + " " + f.prefix + s.normalize(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[key]
	if l == nil || r.Time.Sub(l.last) >= repeatEnds {
		if l == nil {
			l = s.forget()
		}
		if l != nil { // what it has not told yet is told now, or never
			out = l.summary(r.Time)
		}
		s.lines[key] = &repeatedLine{
			handler: f.next, record: r.Clone(), text: text, first: r.Time, last: r.Time, began: r.Time, count: 1, pause: repeatFirst, due: r.Time.Add(repeatFirst),
		}
		return append(out, loggedLine{f.next, r})
	}
	if r.Time.Sub(l.last) > repeatLate {
		l.began, l.count, l.pauses = r.Time, 0, [repeatOften]time.Duration{}
	} else {
		l.pauses[l.count%repeatOften] = r.Time.Sub(l.last)
	}
	l.handler, l.record, l.last = f.next, r.Clone(), r.Time
	l.count++
	l.omitted++
	if r.Time.Before(l.due) {
		return nil
	}
	return l.summary(r.Time)
}

func (s *repeatState) normalize(text string) string {
	for _, r := range s.rules {
		text = r.find.ReplaceAllString(text, r.by)
	}
	return text
}

// forget makes space for one more line: the one that came last the longest ago goes. It
// returns that one, nil for none.
func (s *repeatState) forget() *repeatedLine {
	if len(s.lines) < maxRepeats {
		return nil
	}
	oldest := ""
	for key, l := range s.lines {
		if oldest == "" || l.last.Before(s.lines[oldest].last) {
			oldest = key
		}
	}
	l := s.lines[oldest]
	delete(s.lines, oldest)
	return l
}

// summary is the last line with how often it came since one was logged; none if it did not.
func (l *repeatedLine) summary(now time.Time) []loggedLine {
	if l.omitted == 0 {
		return nil
	}
	out := l.record.Clone()
	out.AddAttrs(slog.Int("repeated", l.omitted), slog.Time("since", l.first))
	l.omitted, l.pause = 0, min(l.pause*repeatGrow, repeatLast)
	l.due = now.Add(l.pause)
	return []loggedLine{{l.handler, out}}
}

// flush logs the summaries that are due, also of lines that came no more.
func (f *repeatFilter) flush(now time.Time) {
	f.logSummaries(now, func(l *repeatedLine) bool { return !now.Before(l.due) })
}

// flushAll logs every summary, before the node stops.
func (f *repeatFilter) flushAll() {
	f.logSummaries(time.Now(), func(*repeatedLine) bool { return true })
}

func (f *repeatFilter) logSummaries(now time.Time, isDue func(*repeatedLine) bool) {
	var out []loggedLine
	f.state.mu.Lock()
	for key, l := range f.state.lines {
		switch {
		case l.omitted > 0 && isDue(l):
			out = append(out, l.summary(now)...)
		case l.omitted == 0 && now.Sub(l.last) >= repeatEnds:
			delete(f.state.lines, key)
		}
	}
	f.state.mu.Unlock()
	for _, l := range out {
		_ = l.handler.Handle(context.Background(), l.record) // a log that cannot be written has no place to say so
	}
}

// report returns the warnings and errors that come again and again, the most frequent first.
func (f *repeatFilter) report(now time.Time) []cluster.RepeatedLine {
	f.state.mu.Lock()
	defer f.state.mu.Unlock()
	var out []cluster.RepeatedLine
	for _, l := range f.state.lines {
		if l.record.Level < slog.LevelWarn || isViolation(l.text) || l.count < repeatOften || now.Sub(l.began) < repeatLong || l.isOver(now) {
			continue
		}
		level := cluster.Note
		if l.record.Level >= slog.LevelError {
			level = cluster.Degraded
		}
		out = append(out, cluster.RepeatedLine{Level: level, Text: shortLine(core.Redact(l.text)), Count: l.count, Since: core.MillisOf(l.began), Last: core.MillisOf(l.last)})
	}
	slices.SortFunc(out, func(a, b cluster.RepeatedLine) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Text, b.Text))
	})
	return out[:min(len(out), cluster.MaxRepeatedLines)]
}

// isOver is true of a line that does not come any more.
func (l *repeatedLine) isOver(now time.Time) bool {
	return now.Sub(l.last) > min(max(repeatGaps*slices.Max(l.pauses[:]), repeatQuiet), repeatLate)
}

// isViolation is true of a line about a client that asked for what it may not have. The
// server has refused it, and every client of a room causes one when it opens the room.
func isViolation(text string) bool {
	return strings.Contains(text, " - cid:") && strings.Contains(text, "Violation")
}

// shortLine is a line as a finding can show it.
func shortLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxLineText {
		text = strings.ToValidUTF8(text[:maxLineText], "") + "…"
	}
	return text
}
