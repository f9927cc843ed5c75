package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"unibus/core/bus"
	"unibus/core/cluster"
	"unibus/core/config"
)

// repeatTest logs into a buffer at times of its own.
type repeatTest struct {
	buf    bytes.Buffer
	filter *repeatFilter
	now    time.Time
}

func newRepeatTest() *repeatTest {
	r := &repeatTest{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	r.filter = newRepeatFilter(slog.NewTextHandler(&r.buf, nil))
	return r
}

// log logs a line as slog.Logger would.
func (r *repeatTest) log(t *testing.T, level slog.Level, text string, attrs ...slog.Attr) {
	t.Helper()
	record := slog.NewRecord(r.now, level, text, 0)
	record.AddAttrs(attrs...)
	h := r.filter.WithAttrs([]slog.Attr{slog.String("node", "n1")})
	if err := h.Handle(context.Background(), record); err != nil {
		t.Fatal(err)
	}
}

func (r *repeatTest) lines() int { return strings.Count(r.buf.String(), "\n") }

// TestRepeatedLinesAreCounted: an hour of nineteen errors a second is a few lines,
// and every error is counted.
func TestRepeatedLinesAreCounted(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	const perSecond, seconds = 19, 3600
	for i := range seconds {
		for j := range perSecond {
			r.log(t, slog.LevelError, fmt.Sprintf("10.0.0.1:%d - rid:%d - TLS route handshake error: x509: certificate is valid for n1.example.org, not 10.0.0.1", 20000+(i*perSecond+j)%40000, i*perSecond+j))
		}
		r.now = r.now.Add(time.Second)
	}
	if n := r.lines(); n < 3 || n > 12 {
		t.Errorf("%d lines in an hour:\n%s", n, r.buf.String())
	}
	r.now = r.now.Add(time.Hour)
	r.filter.flush(r.now)
	logged := strings.Count(r.buf.String(), "\n")
	total := 1
	for line := range strings.Lines(r.buf.String()) {
		var n int
		if _, rest, ok := strings.Cut(line, "repeated="); ok {
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
				t.Fatal(err)
			}
		}
		total += n
	}
	if total != perSecond*seconds {
		t.Errorf("%d errors are told of %d, in %d lines", total, perSecond*seconds, logged)
	}
}

// TestLinesThatDifferAreLogged: a line that names another node, address, key or file is another
// line.
func TestLinesThatDifferAreLogged(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	for _, text := range []string{
		"Error trying to connect to route (attempt 7): dial tcp 10.0.0.1:6222: connect: connection refused",
		"Error trying to connect to route (attempt 7): dial tcp 10.0.0.2:6222: connect: connection refused",
		"Error trying to connect to route (attempt 7): dial tcp 10.0.0.2:6223: connect: connection refused",
		"Error trying to connect to route (attempt 8): dial tcp 10.0.0.2:6223: i/o timeout",
		"10.0.0.9:4444 - rid:8 - TLS route handshake error: EOF",
		"10.0.0.8:4444 - rid:8 - TLS route handshake error: EOF",
		"n1 does not answer", "n2 does not answer",
	} {
		before := r.lines()
		r.log(t, slog.LevelError, text)
		if r.lines() != before+1 {
			t.Errorf("not logged: %s", text)
		}
	}
	before := r.lines()
	r.log(t, slog.LevelError, "cannot be read", slog.String("file", "/a"))
	r.log(t, slog.LevelError, "cannot be read", slog.String("file", "/b"))
	r.log(t, slog.LevelWarn, "cannot be read", slog.String("file", "/b"))
	if n := r.lines() - before; n != 3 {
		t.Errorf("%d lines of three", n)
	}
}

// TestTheSameInOtherWords: lines that differ in counters, ports and times alone are the same line.
func TestTheSameInOtherWords(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"Error trying to connect to route (attempt 1): dial tcp 10.0.0.1:6222: connect: connection refused", "Error trying to connect to route (attempt 22): dial tcp 10.0.0.1:6222: connect: connection refused"},
		{"127.0.0.1:5000 - cid:7 - Slow Consumer Detected: WriteDeadline of 10s exceeded with 12 chunks of 65536 total bytes.", "127.0.0.1:5001 - cid:8 - Slow Consumer Detected: WriteDeadline of 10s exceeded with 3 chunks of 4096 total bytes."},
		{"read tcp 10.0.0.1:41234->10.0.0.2:6222: i/o timeout", "read tcp 10.0.0.1:41240->10.0.0.2:6222: i/o timeout"},
		{"10.0.0.3:6222 - rid:36 - TLS route handshake error: x509: certificate has expired or is not yet valid: current time 2026-11-28T23:10:02Z is after 2026-11-28T22:10:00Z", "10.0.0.3:6222 - rid:51 - TLS route handshake error: x509: certificate has expired or is not yet valid: current time 2026-11-28T23:10:03Z is after 2026-11-28T22:10:00Z"},
		{"Metalayer blocking snapshot took 0.025s (streams: 8, consumers: 10, compacted: 40.99 KB)", "Metalayer blocking snapshot took 0.022s (streams: 9, consumers: 10, compacted: 9.25 KB)"},
		{"[::1]:5000 - rid:7 - TLS route handshake error: EOF", "[::1]:5011 - rid:9 - TLS route handshake error: EOF"},
		{"trying again after 1.5s", "trying again after 3s"},
	} {
		r := newRepeatTest()
		r.log(t, slog.LevelWarn, pair[0])
		r.log(t, slog.LevelWarn, pair[1])
		if r.lines() != 1 {
			t.Errorf("logged twice:\n%s", r.buf.String())
		}
	}
	r := newRepeatTest()
	for port := range 3 {
		r.log(t, slog.LevelInfo, bus.RefusedConnection, slog.String("remote", fmt.Sprintf("10.0.0.9:%d", 5000+port)), slog.String("key", "UABC"), slog.String("reason", "unknown"))
	}
	r.log(t, slog.LevelInfo, bus.RefusedConnection, slog.String("remote", "10.0.0.9:5000"), slog.String("key", "UDEF"), slog.String("reason", "unknown"))
	if r.lines() != 2 {
		t.Errorf("refused connections of two keys:\n%s", r.buf.String())
	}
}

// TestQuietLinesAreNewAgain, and the number of omitted lines is told though the line came no more.
func TestQuietLinesAreNewAgain(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	r.log(t, slog.LevelWarn, "the disk is slow")
	r.log(t, slog.LevelWarn, "the disk is slow")
	r.now = r.now.Add(repeatFirst)
	r.filter.flush(r.now)
	if text := r.buf.String(); r.lines() != 2 || !strings.Contains(text, "repeated=1 since=2026-11-22T12:00:00") {
		t.Errorf("after a minute:\n%s", text)
	}
	r.now = r.now.Add(repeatEnds)
	r.filter.flush(r.now)
	r.log(t, slog.LevelWarn, "the disk is slow")
	if text := r.buf.String(); r.lines() != 3 || strings.Count(text, "repeated=") != 1 {
		t.Errorf("a long time after:\n%s", text)
	}
	r.log(t, slog.LevelInfo, "serving")
	r.log(t, slog.LevelInfo, "serving")
	if r.lines() != 5 {
		t.Errorf("lines at level info are not filtered:\n%s", r.buf.String())
	}
}

// toldOf is how many lines the log tells of: each one, and those that it says were omitted.
func (r *repeatTest) toldOf(t *testing.T) int {
	t.Helper()
	total := 0
	for line := range strings.Lines(r.buf.String()) {
		n := 1
		if _, rest, ok := strings.Cut(line, "repeated="); ok {
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
				t.Fatal(err)
			}
		}
		total += n
	}
	return total
}

// TestEveryLineIsCounted: a line that ends before its summary is due is told of when it
// returns, when another one takes its place, and when the node stops.
func TestEveryLineIsCounted(t *testing.T) {
	t.Parallel()
	begin := func() (*repeatTest, int) {
		r, n := newRepeatTest(), 0
		for range 300 { // until the next summary is due in an hour
			r.log(t, slog.LevelWarn, "the disk is slow")
			r.now = r.now.Add(time.Second)
			n++
		}
		return r, n
	}
	want := func(what string, r *repeatTest, n int) {
		t.Helper()
		if got := r.toldOf(t); got != n {
			t.Errorf("%s: %d of %d lines are told of:\n%s", what, got, n, r.buf.String())
		}
	}
	r, n := begin()
	r.now = r.now.Add(repeatEnds)
	r.log(t, slog.LevelWarn, "the disk is slow")
	want("it returns", r, n+1)

	r, n = begin()
	for i := range maxRepeats {
		r.log(t, slog.LevelWarn, fmt.Sprintf("user u%dx is unknown", i))
		n++
	}
	want("others take its place", r, n)

	r, n = begin()
	r.filter.flushAll()
	r.filter.flushAll()
	want("the node stops", r, n)
}

func TestStoppingNodeTellsOfOmittedLines(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	n := New(Config{Node: config.Node{Name: "n1", Data: t.TempDir()}, Log: slog.New(slog.NewTextHandler(&buf, nil))})
	for range 4 {
		n.log.Warn("the disk is slow")
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if text := buf.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "repeated=3") {
		t.Errorf("got:\n%s", text)
	}
}

// TestFloodOfDifferentLinesIsBounded: the memory of lines is.
func TestFloodOfDifferentLinesIsBounded(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	for i := range 3 * maxRepeats {
		r.now = r.now.Add(time.Millisecond)
		r.log(t, slog.LevelWarn, fmt.Sprintf("user u%dx is unknown", i))
	}
	if n := len(r.filter.state.lines); n > maxRepeats {
		t.Errorf("%d lines are remembered", n)
	}
}

// TestPersistentErrorsAreReported: often, for a while, and lately.
func TestPersistentErrorsAreReported(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	begin := r.now
	for range 90 {
		r.log(t, slog.LevelError, "the file cannot\nbe read", slog.Any("error", errors.New("no such file")))
		r.now = r.now.Add(time.Second)
	}
	r.log(t, slog.LevelError, "once")
	got := r.filter.report(r.now)
	if len(got) != 1 || got[0].Level != cluster.Degraded || got[0].Count != 90 || got[0].Since.Time().UTC() != begin || strings.Contains(got[0].Text, "\n") || !strings.Contains(got[0].Text, "no such file") {
		t.Errorf("got %+v", got)
	}
	if got := r.filter.report(r.now.Add(repeatQuiet + time.Second)); len(got) != 0 {
		t.Errorf("still reported after it has ended: %+v", got)
	}
	v := cluster.View{Nodes: []cluster.Node{{Name: "n1", Online: true, Info: &cluster.Info{Name: "n1", Unit: "unibusd", Repeated: got}}}}
	for _, f := range cluster.Judge(v, r.now).Findings {
		if strings.Contains(f.Text, "n1 logs the same again and again, 90 times since 12:00:00 UTC: the file cannot be read") && strings.HasSuffix(f.Next, "journalctl -u unibusd") {
			return
		}
	}
	t.Errorf("no finding among %+v", cluster.Judge(v, r.now).Findings)
}

// TestErrorIsOverSoon: an error that came every second is over after some seconds. An error
// that comes in bursts is not over between two of them.
func TestErrorIsOverSoon(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	every := func(d time.Duration, n int, text string) {
		for range n {
			r.now = r.now.Add(d)
			r.log(t, slog.LevelError, text)
		}
	}
	reported := func(after time.Duration) bool { return len(r.filter.report(r.now.Add(after))) > 0 }
	every(time.Second, 90, "each second")
	if !reported(4*time.Second) || reported(6*time.Second) {
		t.Errorf("each second: after 4 s %v, after 6 s %v", reported(4*time.Second), reported(6*time.Second))
	}
	every(12*time.Second, 12, "each twelve seconds")
	if !reported(23*time.Second) || reported(25*time.Second) {
		t.Errorf("each twelve seconds: after 23 s %v, after 25 s %v", reported(23*time.Second), reported(25*time.Second))
	}
	for range 5 {
		r.now = r.now.Add(time.Minute / 2)
		every(time.Millisecond, 5, "in bursts")
	}
	if !reported(40 * time.Second) {
		t.Error("in bursts each 30 s: over after 40 s")
	}
}

// TestErrorsOfTwoTimesAreNotOne: one line long ago is not the beginning of the lines that
// come now, and a line that comes once a minute is not over after some seconds.
func TestErrorsOfTwoTimesAreNotOne(t *testing.T) {
	t.Parallel()
	r := newRepeatTest()
	r.log(t, slog.LevelError, "the file cannot be read")
	r.now = r.now.Add(repeatLate + time.Minute)
	for range repeatOften + 5 {
		r.log(t, slog.LevelError, "the file cannot be read")
		r.now = r.now.Add(time.Second)
	}
	if got := r.filter.report(r.now); len(got) != 0 {
		t.Errorf("reported after %d s: %+v", repeatOften+5, got)
	}
	for range repeatOften {
		r.log(t, slog.LevelError, "the disk is slow")
		r.now = r.now.Add(time.Minute)
	}
	if got := r.filter.report(r.now); len(got) != 1 {
		t.Errorf("once a minute: %+v", got)
	}
}

// TestVerdictsAreNoRepetitions: the log tells each change of the verdict, also the same one again.
func TestVerdictsAreNoRepetitions(t *testing.T) {
	t.Parallel()
	out := &bytes.Buffer{}
	n := New(Config{Node: config.Node{Name: "n1"}, Log: slog.New(slog.NewTextHandler(out, nil))})
	for _, log := range []*slog.Logger{n.log, n.unfilteredLog()} {
		for _, since := range []string{"2026-11-28T15:00:00Z", "2026-11-28T15:01:00Z"} {
			log.Warn("the verdict is degraded", "since", since)
		}
	}
	if got := strings.Count(out.String(), "the verdict is degraded"); got != 3 {
		t.Errorf("%d lines, want one of the log that is filtered and two of the other: %s", got, out)
	}
}
