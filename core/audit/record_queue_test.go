package audit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
)

// queued holds the turn, begins some appends, and ends the turn once all wait.
func queued(t *testing.T, l *Log, appends ...func()) {
	t.Helper()
	l.stream.turn <- struct{}{}
	var all sync.WaitGroup
	for i, f := range appends {
		all.Go(f)
		wait(t, func() bool {
			l.stream.queue.mu.Lock()
			defer l.stream.queue.mu.Unlock()
			return len(l.stream.queue.waiting) == i+1
		})
	}
	<-l.stream.turn
	all.Wait()
}

// TestRecordsThatWaitShareABatch: waiting records are one atomic batch, in the order in
// which they came, a chain, and in the node's own copy.
func TestRecordsThatWaitShareABatch(t *testing.T) {
	t.Parallel()
	nc, file := connect(t, single(t)), path(t)
	l := newLog(t, nc, file)
	begin(t, l, "the first") // the stream is there
	const many = 20
	var appends []func()
	for i := range many {
		appends = append(appends, func() { begin(t, l, fmt.Sprint("verb", i)) })
	}
	queued(t, l, appends...)

	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), Stream)
	if err != nil {
		t.Fatal(err)
	}
	batches := map[string]bool{}
	for i := range many {
		m, err := s.GetMsg(t.Context(), uint64(i+2))
		if err != nil {
			t.Fatal(err)
		}
		batches[m.Header.Get("Nats-Batch-Id")] = true
		if e, err := decodeEntry(m.Data); err != nil || e.Verb != fmt.Sprint("verb", i) {
			t.Errorf("record %d: %+v, %v", i+2, e, err)
		}
	}
	if len(batches) != 1 || batches[""] {
		t.Errorf("batches %v, want one", batches)
	}
	var records [][]byte
	for _, r := range streamRecords(t, nc) {
		records = append(records, []byte(r))
	}
	if r := verifyRecords("", records); len(r.Faults) > 0 {
		t.Errorf("%+v", r.Faults)
	}
	if got, _ := copyOf(t, file); len(got) != many+1 {
		t.Errorf("the copy has %d records, want %d", len(got), many+1)
	}
}

// TestOneRefusedRecordOfABatch costs no other record its place, and one that is there
// already is found.
func TestOneRefusedRecordOfABatch(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	l := newLog(t, nc, path(t))
	there := begin(t, l, "the first")
	write := func(e entry, after uint64) (done stored, err error) {
		return l.stream.append(t.Context(), 5*time.Second, "n1", e, after)
	}
	var again, good, wrong stored
	var errs [3]error
	queued(t, l,
		func() { again, errs[0] = write(entry{V: entryVersion, ID: there.ID, Phase: phaseIntent}, 0) },
		func() { wrong, errs[1] = write(entry{V: entryVersion, ID: newID(), Phase: phaseOutcome}, 77) },
		func() { good, errs[2] = write(entry{V: entryVersion, ID: newID(), Phase: phaseIntent}, 0) },
	)
	if errs[0] != nil || again.seq != there.seq {
		t.Errorf("a record that is there: %+v, %v", again, errs[0])
	}
	if core.KindOf(errs[1]) != core.KindConflict {
		t.Errorf("an outcome without its intent: %+v, %v", wrong, errs[1])
	}
	if errs[2] != nil || good.seq != there.seq+1 {
		t.Errorf("a good record: %+v, %v", good, errs[2])
	}
}

// TestStreamWithoutBatches: a stream that an older node created takes records one by one.
func TestStreamWithoutBatches(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	l := newLog(t, nc, path(t))
	begin(t, l, "the first")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	old := streamConfig(1)
	old.AllowAtomicPublish = false
	if _, err := js.UpdateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	queued(t, l, func() { begin(t, l, "one") }, func() { begin(t, l, "two") })
	if got := streamRecords(t, nc); len(got) != 3 {
		t.Errorf("%d records, want 3", len(got))
	}
}

// TestRecordThatWaitedTooLong is not written later.
func TestRecordThatWaitedTooLong(t *testing.T) {
	t.Parallel()
	nc := connect(t, single(t))
	l := newLog(t, nc, path(t))
	begin(t, l, "the first")
	l.stream.turn <- struct{}{}
	_, err := l.stream.append(t.Context(), 50*time.Millisecond, "n1", entry{V: entryVersion, ID: newID(), Phase: phaseIntent}, 0)
	<-l.stream.turn
	if core.KindOf(err) != core.KindUnavailable {
		t.Errorf("%v", err)
	}
	begin(t, l, "the second")
	if got := streamRecords(t, nc); len(got) != 2 {
		t.Errorf("%d records, want 2", len(got))
	}
}
