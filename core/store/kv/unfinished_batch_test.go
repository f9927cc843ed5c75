package kv

import (
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestNoReaderSeesHalfABatch: two rows that always change together are the same to each
// reader, on each node. A writer that has seen one of them alone would add to it what
// another writer has added already.
func TestNoReaderSeesHalfABatch(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	here, there := on.openWith(t, 0, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n1"}), on.openWith(t, 1, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n2"})
	a, b := storetest.NewUser(t, "a"), storetest.NewUser(t, "b")
	mustDo(t, here.AddUser(t.Context(), a))
	mustDo(t, here.AddUser(t.Context(), b))
	mustDo(t, here.CreateRoom(t.Context(), storetest.NewRoom("r", a.ID)))
	rows := func(n int) []core.Member {
		first, second := storetest.NewMember("r", a.ID), storetest.NewMember("r", b.ID)
		first.Proof, second.Proof = []byte(core.StatementsPrefix+strconv.Itoa(n)), []byte(core.StatementsPrefix+strconv.Itoa(n))
		return []core.Member{first, second}
	}
	mustDo(t, here.ChangeMembers(t.Context(), "r", func([]core.Member) ([]core.Member, error) { return rows(0), nil }))
	const changes = 30
	written := make(chan error, 1)
	go func() {
		var err error
		for n := 1; n <= changes && err == nil; n++ {
			err = here.ChangeMembers(t.Context(), "r", func([]core.Member) ([]core.Member, error) { return rows(n), nil })
		}
		written <- err
	}()
	for reads := 0; ; reads++ {
		select {
		case err := <-written:
			mustDo(t, err)
			t.Logf("%d reads beside %d changes", reads, changes)
			return
		default:
		}
		runtime.Gosched()
		if err := sameProofs(there); err != "" {
			t.Fatalf("read %d: %s", reads, err)
		}
	}
}

// TestBatchIsAppliedWhole: a watch shows no message of a batch before its last one, or
// before it knows that the last one is gone.
func TestBatchIsAppliedWhole(t *testing.T) {
	t.Parallel()
	wb := newWatchedBucket(&bucketClient{log: slog.New(slog.DiscardHandler)}, core.TableMembers, "n1", func(Change) {}, func(*core.Error) {})
	wb.rowsWanted.Store(true)
	n := wb.newWatch()
	wb.cur = n
	of := func(rev uint64, id, commit string) decodedMessage {
		h := nats.Header{}
		for key, v := range map[string]string{hdrBatchID: id, hdrBatchCommit: commit} {
			if v != "" {
				h.Set(key, v)
			}
		}
		return decodedMessage{entry{key: fmt.Sprint("r.u", rev), rev: rev}, record{rev: rev}, h}
	}
	for _, step := range []struct {
		d    decodedMessage
		seen uint64
	}{
		{of(1, "", ""), 1},
		{of(2, "a", ""), 1},
		{of(3, "a", ""), 1},
		{of(4, "a", "1"), 4},
		{of(5, "b", ""), 4},
		{of(7, "", ""), 7}, // 6 is gone
		{of(8, "c", ""), 7},
		{of(10, "d", ""), 8},
		{of(11, "d", "1"), 11},
		{of(12, "e", "1"), 12},
	} {
		n.take(step.d)
		if n.table.seq != step.seen || len(n.batch.messages) > 0 != (step.seen < step.d.rev) {
			t.Fatalf("after message %d the table is at %d, want %d", step.d.rev, n.table.seq, step.seen)
		}
	}
	n.take(of(13, "f", "")) // the last that the stream has
	n.setTarget(13)
	if n.table.seq != 13 {
		t.Errorf("the watch waits for message 14, which is gone")
	}
	n.take(of(15, "g", ""))
	n.reach()
	if n.table.seq != 13 {
		t.Error("half a batch is shown after the start")
	}
	n.beat(nats.NewMsg("heartbeat"))
	if n.table.seq != 15 {
		t.Error("the stream has nothing more, and the watch keeps back what it has")
	}
	n.filters = []string{keyGuard}
	if n.take(of(16, "h", "")); n.table.seq != 16 {
		t.Error("a watch that does not hear each message waits for the end of a batch")
	}
}

// sameProofs compares the rows as the table has them now: a request reads them at any moment.
func sameProofs(s *Store) (differ string) {
	_ = s.buckets[core.TableMembers].read(func(t *table) {
		var first string
		for _, r := range t.records {
			if proof := string(r.member.Proof); first != "" && proof != first {
				differ = first + " and " + proof + " are of one batch"
			}
			first = string(r.member.Proof)
		}
	})
	return differ
}
