package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
	"unibus/core/logtest"
)

// streamRecords are the payloads of the stream, in order.
func streamRecords(t *testing.T, nc *nats.Conn) (out []string) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), Stream)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= st.CachedInfo().State.LastSeq; seq++ {
		m, err := st.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(m.Data))
	}
	return out
}

// copyOf are the records and the marks that a file has, in order.
func copyOf(t *testing.T, file string) (records, marks []string) {
	t.Helper()
	for text := range strings.Lines(readFile(t, file)) {
		l := decodeLine([]byte(strings.TrimSpace(text)))
		switch {
		case l.Mark != "":
			marks = append(marks, l.Mark+": "+l.Text)
		case l.Seq > 0:
			if int(l.Seq) != len(records)+1 {
				t.Errorf("record %d follows %d others", l.Seq, len(records))
			}
			records = append(records, string(l.data()))
		}
	}
	return records, marks
}

// hasCopy waits until the file has all records of the stream.
func hasCopy(t *testing.T, nc *nats.Conn, file string) []string {
	t.Helper()
	var want []string
	wait(t, func() bool {
		want = streamRecords(t, nc)
		got, _ := copyOf(t, file)
		return cmp.Equal(want, got)
	})
	return want
}

// TestCopyFollowsTheStream: each node's file has the records of all nodes, once, also
// after a restart and with bytes that are no JSON.
func TestCopyFollowsTheStream(t *testing.T) {
	t.Parallel()
	srv := single(t)
	nc, one, two := connect(t, srv), path(t), path(t)
	a, b := newLog(t, nc, one), newLog(t, nc, two)
	a.End(t.Context(), begin(t, a, "<one> & é\u2028"), nil)
	b.End(t.Context(), begin(t, b, "two"), errors.New("broke"))
	hasCopy(t, nc, one)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * pageWindow {
		begin(t, a, fmt.Sprint("v", i))
	}
	for _, foreign := range []string{"no\njson", "", " {}", "{\"a\":\r1}", "\xff\xfe"} {
		if err := nc.Publish(subjectOf("n9", newID()), []byte(foreign)); err != nil {
			t.Fatal(err)
		}
	}
	const all = 4 + 2*pageWindow + 5
	wait(t, func() bool { return len(streamRecords(t, nc)) == all })
	newLog(t, nc, two)
	want := hasCopy(t, nc, two)
	hasCopy(t, nc, one)
	if len(want) != all {
		t.Errorf("%d records", len(want))
	}
	if _, marks := copyOf(t, two); cmp.Diff([]string{"stream: the copy begins"}, marks) != "" {
		t.Error(marks)
	}
	info, err := os.Stat(two)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// TestOwnRecordsAreCopiedAtOnce: the record of an intent is in the node's own file before
// the action begins.
func TestOwnRecordsAreCopiedAtOnce(t *testing.T) {
	t.Parallel()
	nc, file := connect(t, single(t)), path(t)
	l := newLog(t, nc, file)
	begin(t, l, "first")
	hasCopy(t, nc, file)
	for i := range 20 {
		verb := fmt.Sprint("verb-", i)
		begin(t, l, verb)
		if !strings.Contains(readFile(t, file), verb) {
			t.Fatalf("%s is not in the copy yet", verb)
		}
	}
}

// TestOwnRecordsAreCopiedBesideOthers: also where several actions begin at once, on one
// node and on two, and where the copy still lacks what was recorded before it was opened.
func TestOwnRecordsAreCopiedBesideOthers(t *testing.T) {
	t.Parallel()
	nc, files := connect(t, single(t)), []string{path(t), path(t)}
	logs := []*Log{newLog(t, nc, files[0])}
	for i := range 300 {
		begin(t, logs[0], fmt.Sprint("before-", i))
	}
	logs = append(logs, newLog(t, nc, files[1]))
	var missing atomic.Int64
	var callers sync.WaitGroup
	for n := range 8 {
		callers.Go(func() {
			for i := range 20 {
				verb := fmt.Sprintf("caller-%d-%d-", n, i)
				begin(t, logs[n%2], verb)
				if !strings.Contains(readFile(t, files[n%2]), verb) {
					missing.Add(1)
				}
			}
		})
	}
	callers.Wait()
	if n := missing.Load(); n > 0 {
		t.Errorf("%d of 160 records were not in the node's own copy when the action began", n)
	}
	for _, file := range files {
		hasCopy(t, nc, file)
	}
}

// TestCopyOutlivesTheStream: a stream that is deleted, and one that is created anew, are
// errors in the log and a line of the copy, which keeps its records.
func TestCopyOutlivesTheStream(t *testing.T) {
	t.Parallel()
	nc, file := connect(t, single(t)), path(t)
	logged := &logtest.Buffer{}
	open := func() *Log {
		l := New(Config{Conn: nc, Replicas: 1, Node: "n1", File: file, Logger: slog.New(slog.NewTextHandler(logged, nil)), Now: func() core.Millis { return 1 }})
		if err := l.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	l := open()
	begin(t, l, "before")
	before := hasCopy(t, nc, file)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), Stream); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool {
		return strings.Contains(logged.String(), "level=ERROR msg=\"the stream of the audit was deleted;")
	})
	if got, _ := copyOf(t, file); !cmp.Equal(before, got) {
		t.Errorf("the copy of the deleted stream: %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open() // creates the stream
	begin(t, l, "after")
	wait(t, func() bool { return strings.Contains(readFile(t, file), `"verb":"after"`) })
	if text := readFile(t, file); !strings.Contains(text, before[0]) || !strings.Contains(text, `"text":"the stream that was created at `) {
		t.Error(text)
	}
	if !strings.Contains(logged.String(), "level=ERROR msg=\"the stream of the audit was deleted and created anew") {
		t.Error(logged)
	}
}

// TestGapIsALine: records that the stream has lost are an error in the log and a line.
func TestGapIsALine(t *testing.T) {
	t.Parallel()
	nc, file := connect(t, single(t)), path(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	loose := streamConfig(1)
	loose.DenyDelete = false
	st, err := js.CreateStream(t.Context(), loose)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 + 2*pageWindow {
		e := entry{V: entryVersion, ID: newID(), Phase: phaseIntent, Verb: fmt.Sprint("v", i)}
		if _, err := js.Publish(t.Context(), subjectOf("n1", e.ID), e.encode()); err != nil {
			t.Fatal(err)
		}
	}
	for seq := uint64(3); seq < 5+pageWindow; seq++ {
		if err := st.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	newLog(t, nc, file)
	wait(t, func() bool { return strings.Contains(readFile(t, file), fmt.Sprintf(`{"seq":%d,`, 5+2*pageWindow)) })
	if text, want := readFile(t, file), fmt.Sprintf("the records 3 to %d are missing", 4+pageWindow); strings.Count(text, want) != 1 {
		t.Errorf("no line says %q once:\n%s", want, text)
	}
}

// TestCopyRotates: a full file is kept once, and the new one goes on where it ended, with
// the entries that are still to be added.
func TestCopyRotates(t *testing.T) {
	t.Parallel()
	f := file{path: path(t), limit: 4000}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.addCopied("c", copied{Mark: markStream, Created: "c"}); err != nil {
		t.Fatal(err)
	}
	own := entry{V: entryVersion, ID: "own", Phase: phaseIntent, Verb: "rescue"}
	if _, err := f.append(own); err != nil {
		t.Fatal(err)
	}
	const n = 100
	for seq := uint64(1); seq <= n; seq++ {
		e := entry{V: entryVersion, ID: fmt.Sprint("id", seq), Phase: phaseIntent, Verb: "v"}
		if ok, err := f.addCopied("c", copied{Seq: seq, Record: e.encode()}); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	want := f.state()
	for _, crashed := range []bool{false, true} { // between the two renames of a rotation
		if crashed {
			if err := os.Rename(f.path, f.older()); err != nil {
				t.Fatal(err)
			}
		}
		again := file{path: f.path, limit: f.limit}
		if err := again.open(); err != nil {
			t.Fatal(err)
		}
		got := again.state()
		if got.end != want.end || got.created != "c" || cmp.Diff([]entry{own}, got.pending) != "" || got.end.seq != n {
			t.Errorf("crashed %v: %+v, want %+v", crashed, got, want)
		}
		if !crashed && again.size > 2*f.limit {
			t.Errorf("the file has %d bytes", again.size)
		}
	}
	if _, err := os.Stat(f.path + ".2"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestRotationIsEnded: where the new file cannot take its place, nothing is written beside
// it, and the full file that was moved away stays whole. The next write ends the rotation.
func TestRotationIsEnded(t *testing.T) {
	t.Parallel()
	f := file{path: path(t), limit: 4000}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.addCopied("c", copied{Mark: markStream, Created: "c"}); err != nil {
		t.Fatal(err)
	}
	add := func(seq uint64) error {
		e := entry{V: entryVersion, ID: fmt.Sprint("id", seq), Phase: phaseIntent, Verb: "v"}
		_, err := f.addCopied("c", copied{Seq: seq, Record: e.encode()})
		return err
	}
	for seq := uint64(1); seq <= 10; seq++ {
		if err := add(seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.moveAway(); err != nil {
		t.Fatal(err)
	}
	full := readFile(t, f.older())
	if err := os.Mkdir(f.path, 0o700); err != nil { // a file cannot take the place of a directory
		t.Fatal(err)
	}
	for range 2 {
		if err := add(11); core.KindOf(err) != core.KindFailed || !strings.Contains(err.Error(), "rotated") {
			t.Fatalf("written in the middle of a rotation: %v", err)
		}
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if err := add(11); err != nil {
		t.Fatal(err)
	}
	if readFile(t, f.older()) != full {
		t.Error("the full file was replaced")
	}
	text := readFile(t, f.path)
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, markRotated) || !strings.Contains(text, `"seq":11,`) || f.size != int64(len(text)) || f.place() != FileInPlace {
		t.Errorf("%d bytes, %q:\n%s", f.size, f.place(), text)
	}
	again := file{path: f.path, limit: f.limit}
	if err := again.open(); err != nil || again.state().end.seq != 11 {
		t.Errorf("after a restart: %+v, %v", again.state(), err)
	}
}

// TestNodesDoNotFork: nodes that append at the same time make one chain, and none of
// their intents fails.
func TestNodesDoNotFork(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	logs := []*Log{newLog(t, nc, path(t)), newLog(t, nc, path(t)), newLog(t, nc, path(t))}
	var all sync.WaitGroup
	for i, l := range logs {
		for j := range 3 {
			all.Go(func() {
				for k := range 10 {
					a, err := l.Begin(t.Context(), Intent{By: ana(), Verb: fmt.Sprint(i, j, k)})
					if err != nil {
						t.Error(err)
						return
					}
					l.End(t.Context(), a, nil)
				}
			})
		}
	}
	all.Wait()
	wait(t, func() bool { return len(streamRecords(t, nc)) >= 2*90 }) // an outcome that was late is added later
	records := streamRecords(t, nc)
	if len(records) != 2*90 {
		t.Errorf("%d records", len(records))
	}
	prev := noRecord
	for i, r := range records {
		e, err := decodeEntry([]byte(r))
		if err != nil || e.Prev != prev {
			t.Fatalf("record %d follows %s, not %s (%v)", i+1, e.Prev, prev, err)
		}
		prev = hashOf([]byte(r))
	}
	wait(t, func() bool { // and all copies are the same
		for _, l := range logs {
			if got, _ := copyOf(t, l.cfg.File); !cmp.Equal(records, got) {
				return false
			}
		}
		return true
	})
}

// TestRecordsWithoutAHashBeginTheChain: the first record of this version follows the last
// one of an earlier version.
func TestRecordsWithoutAHashBeginTheChain(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	l := newLog(t, nc, path(t))
	begin(t, l, "make the stream")
	old := entry{V: entryVersion, ID: newID(), Phase: phaseIntent, Verb: "old"}.encode()
	if _, err := nc.Request(subjectOf("n1", newID()), old, time.Second); err != nil {
		t.Fatal(err)
	}
	begin(t, l, "new")
	records := streamRecords(t, nc)
	if e, err := decodeEntry([]byte(records[2])); err != nil || e.Prev != hashOf(old) || len(records) != 3 {
		t.Errorf("%+v, %v of %d", e, err, len(records))
	}
}

// TestLostEndIsALine: a stream that has fewer records than the copy is an error and a line,
// but not at once: a leader that was just elected may still count.
func TestLostEndIsALine(t *testing.T) {
	t.Parallel()
	l := New(Config{Conn: connect(t, single(t)), File: path(t), Now: func() core.Millis { return 1 }})
	if err := l.file.open(); err != nil {
		t.Fatal(err)
	}
	var lines []copied
	for seq := range uint64(5) {
		lines = append(lines, copied{Seq: seq + 1, Record: entry{V: entryVersion, ID: fmt.Sprint(seq), Phase: phaseIntent}.encode()})
	}
	if _, err := l.file.addCopied("c", append([]copied{{Mark: markStream, Created: "c"}}, lines...)...); err != nil {
		t.Fatal(err)
	}
	if _, err := l.file.addCopied("c", lines...); err != nil {
		t.Fatal(err)
	}
	info := jsapi.StreamInfo{Created: "c"}
	info.State.LastSeq = 3
	if lost, err := l.follow.compareEnd(info); !lost || err != nil || l.file.state().end.seq != 5 {
		t.Errorf("at once: %v, %v, %+v", lost, err, l.file.state().end)
	}
	l.follow.shrunk = time.Now().Add(-2 * shrunkAfter)
	if lost, err := l.follow.compareEnd(info); lost || err != nil || l.file.state().end.seq != 3 {
		t.Errorf("later: %v, %v, %+v", lost, err, l.file.state().end)
	}
	v := NewVerifier(VerifyConfig{Signed: signedBy})
	if err := v.VerifyFile(l.cfg.File); err != nil {
		t.Fatal(err)
	}
	if r := v.Report(); len(r.Faults) != 1 || r.Faults[0].Seq != 5 || !strings.Contains(r.Faults[0].Reason, "the stream has lost it") {
		t.Errorf("%+v", r.Faults)
	}
}

// TestStreamCreatedAnewUnderARunningNode: a node does not take the last record of the
// deleted stream for that of the new one, which has the same sequence.
func TestStreamCreatedAnewUnderARunningNode(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	l := newLog(t, nc, path(t))
	begin(t, l, "before")
	hasCopy(t, nc, l.cfg.File)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), Stream); err != nil {
		t.Fatal(err)
	}
	begin(t, newLog(t, nc, path(t)), "another node's")
	wait(t, func() bool { return strings.Contains(readFile(t, l.cfg.File), "created anew") })
	begin(t, l, "after")
	records := streamRecords(t, nc)
	if e, err := decodeEntry([]byte(records[1])); err != nil || e.Prev != hashOf([]byte(records[0])) {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestEntryThatIsInTheStreamIsNotPending: a record that was written although its node had
// no answer is in the copy before the entry that repeats it, and is not added again.
func TestEntryThatIsInTheStreamIsNotPending(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	l := newLog(t, nc, path(t))
	a := begin(t, l, "one")
	hasCopy(t, nc, l.cfg.File)
	if _, err := l.file.append(entry{V: entryVersion, ID: a.ID, Phase: phaseIntent, Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return len(l.file.state().pending) == 0 })
	if n := len(streamRecords(t, nc)); n != 1 {
		t.Errorf("%d records", n)
	}
}
