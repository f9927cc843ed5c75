package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/jsapi"
)

// single starts a server of its own.
func single(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{ServerName: "n1", Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server did not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func connect(t *testing.T, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// newLog is a log whose clock counts; without a connection it is that of a node alone.
func newLog(t *testing.T, nc *nats.Conn, file string) *Log {
	t.Helper()
	return newSignedLog(t, nc, file, clusterKey{})
}

func newSignedLog(t *testing.T, nc *nats.Conn, file string, key clusterKey) *Log {
	t.Helper()
	var now atomic.Int64
	l := New(Config{
		Conn: nc, Replicas: 1, Node: "n1", File: file, Timeout: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now: func() core.Millis { return core.Millis(now.Add(1)) }, Key: key.known,
	})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "audit.jsonl") }

func ana() core.Operator { return core.Operator{Key: "UA", Name: "ana", Role: core.OperatorAdmin} }

func begin(t *testing.T, l *Log, verb string) Action {
	t.Helper()
	a, err := l.Begin(t.Context(), Intent{By: ana(), Verb: verb, Args: "id=" + verb})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func page(t *testing.T, l *Log, q Query) Page {
	t.Helper()
	p, err := l.Page(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func verbs(p Page) (out []string) {
	for _, r := range p.Records {
		out = append(out, r.Verb+" "+r.Outcome)
	}
	return out
}

// both runs a test on the stream and on the file of a node alone.
func both(t *testing.T, f func(t *testing.T, l *Log)) {
	t.Helper()
	bothSigned(t, clusterKey{}, f)
}

func bothSigned(t *testing.T, key clusterKey, f func(t *testing.T, l *Log)) {
	t.Helper()
	t.Run("stream", func(t *testing.T) { t.Parallel(); f(t, newSignedLog(t, connect(t, single(t)), path(t), key)) })
	t.Run("file", func(t *testing.T) { t.Parallel(); f(t, newSignedLog(t, nil, path(t), key)) })
}

func TestRecords(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, l *Log) {
		a := begin(t, l, "one")
		if d := cmp.Diff([]string{"one unknown"}, verbs(page(t, l, Query{Limit: 9}))); d != "" {
			t.Error("before the outcome:", d)
		}
		b := begin(t, l, "two")
		l.End(t.Context(), b, core.Errorf(core.KindRefused, "no: %s", strings.Repeat("é", maxText)))
		l.End(t.Context(), a, nil)
		p := page(t, l, Query{Limit: 9})
		if d := cmp.Diff([]string{"two refused", "one ok"}, verbs(p)); d != "" {
			t.Error(d)
		}
		r := p.Records[1]
		want := Record{Seq: r.Seq, ID: a.ID, At: 1, Node: "n1", Key: "UA", Name: "ana", Role: core.OperatorAdmin, Verb: "one", Args: "id=one", Outcome: "ok", TookMS: r.TookMS}
		if d := cmp.Diff(want, r); d != "" || r.TookMS < 1 || r.Seq == 0 {
			t.Error(d, r.TookMS)
		}
		if text := p.Records[0].Text; len(text) > maxText+8 || strings.ContainsRune(text, '\uFFFD') || !strings.HasPrefix(text, "no: é") {
			t.Errorf("%d bytes: %.20q", len(text), text)
		}
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, l *Log) {
		if p := page(t, l, Query{Limit: 3}); len(p.Records) != 0 || p.Next != 0 {
			t.Errorf("of nothing: %+v", p)
		}
		const n = 80 // more than a window of messages
		var actions []Action
		for i := range n {
			actions = append(actions, begin(t, l, fmt.Sprint("v", i)))
		}
		for _, a := range actions { // every outcome lies behind all intents
			l.End(t.Context(), a, nil)
		}
		for _, limit := range []int{1, 7, n - 1, n, n + 1} {
			var got []string
			q := Query{Limit: limit}
			for range n + 2 {
				p := page(t, l, q)
				got = append(got, verbs(p)...)
				if q.Before = p.Next; q.Before == 0 {
					break
				}
			}
			var want []string
			for i := n - 1; i >= 0; i-- {
				want = append(want, fmt.Sprintf("v%d ok", i))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("by %d:\n%s", limit, d)
			}
		}
		newest := page(t, l, Query{Limit: 1}).Records[0].Seq
		begin(t, l, "last")
		p := page(t, l, Query{Limit: 9, Since: newest})
		if d := cmp.Diff([]string{"last unknown"}, verbs(p)); d != "" {
			t.Error(d)
		}
	})
}

// TestAuditCannotBePurged: not by whoever has every right in the account, and a stream that allows it is mended.
func TestAuditCannotBePurged(t *testing.T) {
	t.Parallel()
	srv := single(t)
	nc := connect(t, srv)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	loose := streamConfig(1)
	loose.DenyDelete, loose.DenyPurge, loose.AllowDirect, loose.MaxAge, loose.AllowRollup = false, false, true, time.Hour, true
	if _, err := js.CreateStream(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, nc, path(t))
	l.End(t.Context(), begin(t, l, "one"), nil)
	st, err := js.Stream(t.Context(), Stream)
	if err != nil {
		t.Fatal(err)
	}
	if c := st.CachedInfo().Config; !c.DenyDelete || !c.DenyPurge || c.AllowDirect || c.AllowRollup || c.MaxAge != 0 || c.Storage != jetstream.FileStorage {
		t.Errorf("%+v", c)
	}
	if err := st.Purge(t.Context()); err == nil {
		t.Error("it was purged")
	}
	if err := st.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a record was deleted")
	}
	if err := st.SecureDeleteMsg(t.Context(), 1); err == nil {
		t.Error("a record was wiped")
	}
	if _, err := js.UpdateStream(t.Context(), loose); err == nil {
		t.Error("its protection was taken away")
	}
	rollup := nats.NewMsg("unibus.audit.n1.x")
	rollup.Header.Set("Nats-Rollup", "all")
	if _, err := js.PublishMsg(t.Context(), rollup); err == nil {
		t.Error("it was rolled up")
	}
	if d := cmp.Diff([]string{"one ok"}, verbs(page(t, l, Query{Limit: 9}))); d != "" {
		t.Error(d)
	}
}

// TestNamesAgree: the subjects that core/auth grants are those that are used here.
func TestNamesAgree(t *testing.T) {
	t.Parallel()
	if auth.AuditStream != Stream || auth.AuditSubjects+">" != Subjects || subjectOf("n1", "x") != auth.AuditSubjects+"n1.x" {
		t.Error("core/auth grants other subjects than these")
	}
}

func TestStreamThatCannotKeepItIsRefused(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	wrong := streamConfig(1)
	wrong.Storage = jetstream.MemoryStorage
	if _, err := js.CreateStream(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, nc, path(t))
	// The first may come before that was seen; either way nothing is done.
	for want := core.KindUnavailable; ; {
		_, err := l.Begin(t.Context(), Intent{By: ana(), Verb: "one"})
		if err == nil {
			t.Fatal("begun")
		}
		if core.KindOf(err) == core.KindRefused {
			return
		}
		if core.KindOf(err) != want {
			t.Fatal(err)
		}
	}
}

// TestWhatTheStreamDoesNotTakeIsAddedLater: intents of rescues, outcomes, and that a refused action was refused.
func TestWhatTheStreamDoesNotTakeIsAddedLater(t *testing.T) {
	t.Parallel()
	srv, file := single(t), path(t)
	down, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	l := newLog(t, down, file)
	l.cfg.Timeout = 300 * time.Millisecond
	cut := begin(t, l, "cut")
	down.Close() // the cluster is out of reach
	l.End(t.Context(), cut, nil)
	if _, err := l.Begin(t.Context(), Intent{By: ana(), Verb: "ordinary"}); core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "nothing was done") {
		t.Fatalf("an ordinary action: %v", err)
	}
	a, err := l.Begin(t.Context(), Intent{By: ana(), Verb: "rescue", Restores: true})
	if err != nil {
		t.Fatal(err)
	}
	l.End(t.Context(), a, errors.New("broke"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := newLog(t, connect(t, srv), file)
	wait(t, func() bool { return len(again.file.state().pending) == 0 })
	p := page(t, again, Query{Limit: 9})
	if d := cmp.Diff([]string{"rescue failed", "ordinary unavailable", "cut ok"}, verbs(p)); d != "" {
		t.Error(d)
	}
	if !p.Records[0].Late || !p.Records[1].Late || p.Records[2].Late {
		t.Errorf("%+v", p.Records)
	}
	// Once more, as after a crash before the copy had them: nothing is added twice.
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	var own []string
	for text := range strings.Lines(readFile(t, file)) {
		if !strings.HasPrefix(text, `{"seq"`) {
			own = append(own, text)
		}
	}
	if len(own) != 6 { // the mark of the stream, and the five entries
		t.Errorf("%d lines are the node's own:\n%s", len(own), strings.Join(own, ""))
	}
	if err := os.WriteFile(file, []byte(strings.Join(own, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	again = newLog(t, connect(t, srv), file)
	wait(t, func() bool { return len(again.file.state().pending) == 0 })
	if d := cmp.Diff(p, page(t, again, Query{Limit: 9})); d != "" {
		t.Error(d)
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func wait(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		if !jsapi.Sleep(ctx, 10*time.Millisecond) {
			t.Fatal("still not after 20 s")
		}
	}
}

// TestFileSurvivesDamage: half a line of a crash, or a line that is no record, hides nothing else.
func TestFileSurvivesDamage(t *testing.T) {
	t.Parallel()
	file := path(t)
	l := newLog(t, nil, file)
	l.End(t.Context(), begin(t, l, "one"), nil)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		again := newLog(t, nil, file)
		b := begin(t, again, "two")
		again.End(t.Context(), b, nil)
		got := verbs(page(t, again, Query{Limit: 9}))
		if len(got) == 0 || got[0] != "two ok" || len(got) > 3 {
			t.Fatalf("cut at %d: %q", n, got)
		}
	}
}

// TestWholeFileIsPaged: the file of a node on its own has no limit. Its first action is
// on the last page, behind a line that is longer than one read.
func TestWholeFileIsPaged(t *testing.T) {
	t.Parallel()
	const n, long = 9000, 4
	var lines []byte
	var want []string
	for i := range n {
		e := entry{V: entryVersion, ID: fmt.Sprint("a", i), Phase: phaseIntent, At: 1, Node: "n1", Verb: fmt.Sprint("v", i), Args: strings.Repeat("x", maxText)}
		o := entry{V: entryVersion, ID: e.ID, Phase: phaseOutcome, At: 1, Node: "n1", Kind: OutcomeOK, Text: strings.Repeat("y", maxText)}
		lines = append(append(append(append(lines, e.encode()...), '\n'), o.encode()...), '\n')
		want = append(want, e.Verb+" ok")
		if i == long {
			lines = append(append(lines, bytes.Repeat([]byte("z"), 3*fileWindow)...), '\n')
			want = append(want, " unknown")
		}
	}
	if len(lines) <= maxRead {
		t.Fatalf("a file of %d bytes is too short", len(lines))
	}
	file := path(t)
	if err := os.WriteFile(file, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, nil, file)
	var got []string
	q := Query{Limit: 700}
	for range n {
		p := page(t, l, q)
		got = append(got, verbs(p)...)
		if q.Before = p.Next; q.Before == 0 {
			break
		}
	}
	slices.Reverse(want)
	if len(got) != len(want) {
		t.Fatalf("%d of %d records", len(got), len(want))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestRawPageEndsAtTheEnd: a line that is longer than a page is damage, and not the end of
// the file: `audit verify` would not see the lines after it.
func TestRawPageEndsAtTheEnd(t *testing.T) {
	t.Parallel()
	file := path(t)
	l := newLog(t, nil, file)
	begin(t, l, "one")
	p, err := l.RawPage(t.Context(), 1)
	if err != nil || len(p.Records) != 1 || p.Next != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines = slices.Concat(lines, bytes.Repeat([]byte("z"), 2*rawBytes), []byte("\n"), lines)
	if err := os.WriteFile(file, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	l = newLog(t, nil, file)
	if p, err = l.RawPage(t.Context(), 1); err != nil || len(p.Records) != 1 || p.Next == 0 {
		t.Fatalf("before the damage: %d records, next %d, %v", len(p.Records), p.Next, err)
	}
	if p, err = l.RawPage(t.Context(), p.Next); core.KindOf(err) != core.KindFailed || !strings.Contains(err.Error(), file) {
		t.Errorf("at the damage: %+v, %v", p, err)
	}
}

func TestFileOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(file string) error{
		"readable":    func(f string) error { return os.WriteFile(f, nil, 0o644) },
		"a link":      func(f string) error { return os.Symlink("/dev/null", f) },
		"a directory": func(f string) error { return os.Mkdir(f, 0o700) },
	} {
		file := path(t)
		if err := make(file); err != nil {
			t.Fatal(err)
		}
		if err := New(Config{File: file}).Open(t.Context()); core.KindOf(err) != core.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnwritableFileRefuses: where the record is not on disk, nothing is done.
func TestUnwritableFileRefuses(t *testing.T) {
	t.Parallel()
	l := newLog(t, nil, filepath.Join(t.TempDir(), "absent", "audit.jsonl"))
	if _, err := l.Begin(t.Context(), Intent{By: ana(), Verb: "one", Restores: true}); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("%v", err)
	}
}

// FuzzDecodeEntry: decoding any bytes of the stream or the file gives an entry that can be shown, or an error.
func FuzzDecodeEntry(f *testing.F) {
	f.Add(entry{V: 1, ID: "a", Phase: phaseIntent, Verb: "v"}.encode())
	f.Add([]byte(`{"v":1,"id":"a.b","phase":"intent"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEntry(data)
		if err != nil {
			return
		}
		again, err := decodeEntry(e.encode())
		if err != nil || cmp.Diff(e, again) != "" || strings.ContainsAny(e.ID, ".*> ") {
			t.Errorf("%+v, %+v, %v", e, again, err)
		}
	})
}

// TestEarlierTryUnderWay: the leader refuses a second try of a record before it
// has the first. That the first cannot be read yet means no other record.
func TestEarlierTryUnderWay(t *testing.T) {
	t.Parallel()
	l := newLog(t, connect(t, single(t)), path(t))
	begin(t, l, "the first") // the stream is there
	intent := entry{V: entryVersion, ID: fmt.Sprintf("%024x", 1), Phase: phaseIntent}
	outcome := intent
	outcome.Phase = phaseOutcome
	look := func(e entry, after uint64) (uint64, bool, core.Kind) {
		at, err := l.stream.found(t.Context(), "n1", e, after)
		return at.seq, at.seq > 0, core.KindOf(err)
	}
	if seq, known, kind := look(intent, 0); seq != 0 || known || kind != "" {
		t.Errorf("an intent under way: %d, %v, %s", seq, known, kind)
	}
	done, err := l.stream.append(t.Context(), time.Second, "n1", intent, 0)
	at := done.seq
	if err != nil {
		t.Fatal(err)
	}
	if seq, known, _ := look(intent, 0); seq != at || !known {
		t.Errorf("an intent that is there: %d, %v", seq, known)
	}
	if _, known, kind := look(outcome, at); known || kind != "" {
		t.Errorf("an outcome under way: %v, %s", known, kind)
	}
	if _, _, kind := look(outcome, at-1); kind != core.KindConflict {
		t.Errorf("another record: %s", kind)
	}
}
