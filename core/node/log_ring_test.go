package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"unibus/core/logtest"
)

// TestLogRing keeps the last lines with the attributes of With, and passes all of them on.
func TestLogRing(t *testing.T) {
	t.Parallel()
	var out logtest.Buffer
	ring := newLogRing(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	log := slog.New(ring).With("node", "n1")
	log.Debug("not logged")
	log.Warn("first", "error", errors.New("broke"))
	log.Warn("127.0.0.1:4222 - cid:7 - Publish Violation", "from", "nats-server")
	log.WithGroup("of").Info("grouped", "x", 1)
	r := ring.state.report()
	if len(r.Lines) != 2 || r.Clients != 1 || r.Dropped != 0 || r.Since == 0 {
		t.Fatalf("%+v", r)
	}
	if l := r.Lines[0]; l.Text != "first" || l.Level != "WARN" || l.Attrs["node"] != "n1" || l.Attrs["error"] != "broke" {
		t.Errorf("%+v", l)
	}
	if l := r.Lines[1]; l.Attrs["of.x"] != "1" || l.Attrs["node"] != "n1" {
		t.Errorf("%+v", l)
	}
	if text := out.String(); !strings.Contains(text, "first") || !strings.Contains(text, "Violation") || !strings.Contains(text, "of.x=1") {
		t.Errorf("the log has %s", text)
	}
}

// TestLogRingIsBounded: in lines, in the bytes of a line, and in the bytes of a report.
func TestLogRingIsBounded(t *testing.T) {
	t.Parallel()
	ring := newLogRing(slog.NewTextHandler(io.Discard, nil))
	log := slog.New(ring)
	for i := range maxRingLines + 5 {
		log.Info(fmt.Sprint("line ", i), "error", strings.Repeat("x", 5*maxRingText))
	}
	r := ring.state.report()
	size := 0
	for _, l := range r.Lines {
		size += len(l.Text) + len(l.Attrs["error"])
	}
	if len(ring.state.lines) != maxRingLines || size > maxLogReport || size < maxLogReport/4 || r.Lines[len(r.Lines)-1].Text != fmt.Sprint("line ", maxRingLines+4) {
		t.Errorf("%d lines are kept; a report has %d lines, %d bytes, the last %q", len(ring.state.lines), len(r.Lines), size, r.Lines[len(r.Lines)-1].Text)
	}
	if r.Dropped != maxRingLines+5-len(r.Lines) {
		t.Errorf("%d lines are in the report, and %d dropped", len(r.Lines), r.Dropped)
	}
}
