package kv

import (
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

func TestAReaderGoesToWhoeverHasWaitedLongest(t *testing.T) {
	t.Parallel()
	var b placementQueue
	at := scan{bucket: "B", filter: everything}.placement("n1")
	first, leaveFirst := b.wait(at)
	second, leaveSecond := b.wait(at)
	for _, other := range []scan{{bucket: "C", filter: everything}, {bucket: "B", filter: "x"}, {bucket: "B", filter: everything, keysOnly: true}} {
		if b.deliver(other.placement("n1"), "wrong") {
			t.Errorf("a reader of %+v was taken for another", other)
		}
	}
	if b.deliver(scan{bucket: "B", filter: everything}.placement("n2"), "elsewhere") {
		t.Error("a reader was taken that nobody wants where it is")
	}
	if !b.deliver(at, "a") || <-first != "a" {
		t.Error("the first did not get it")
	}
	if !b.deliver(at, "b") || b.deliver(at, "c") {
		t.Error("two wait, one was served: one more is of use, and not two")
	}
	if left := leaveFirst(); left != "" {
		t.Errorf("%s was taken and is returned", left)
	}
	if left := leaveSecond(); left != "b" || len(second) != 0 {
		t.Errorf("what came and was not taken is lost: %q", left)
	}
	_, leave := b.wait(at)
	if leave(); b.deliver(at, "d") || len(b.waiting) != 0 {
		t.Error("whoever left is given a reader")
	}
}

// A reader that a scan of one node creates, and that lands on another node, goes to a caller that
// waits for one there.
func TestAReaderThatLandedElsewhereIsHandedOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	s := New(Config{Conn: on.conn(t, 0), Replicas: 3})
	mustDo(t, s.Open(ctx))
	t.Cleanup(func() { mustDo(t, s.Close()) })
	q := scan{bucket: core.TableUsers.Bucket(), filter: everything, node: "n1"}
	seat, leave := s.placements.wait(q.placement("n2"))
	defer leave()
	for range placeTries { // one that was made for n1 lands on n2 in a third of all tries
		s.discard(q.bucket, must[string](t)(s.placeConsumer(ctx, q)))
		if len(seat) == 1 {
			break
		}
	}
	select {
	case name := <-seat:
		var info consumerInfo
		mustDo(t, s.api.RequestUntil(ctx, "CONSUMER.INFO.KV_UNIBUS_users."+name, nil, &info))
		if info.Cluster.Leader != "n2" {
			t.Errorf("the reader for n2 lives on %s", info.Cluster.Leader)
		}
	default:
		t.Error("none was handed over")
	}
}

// However many scans there are, so many requests are under way and no more, and all scans end.
func TestScansTakeTurns(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	s := New(Config{Conn: on.conn(t, 0), Replicas: 3})
	mustDo(t, s.Open(t.Context()))
	t.Cleanup(func() { mustDo(t, s.Close()) })
	mustDo(t, s.Shut(t.Context(), 2))
	rows := userRows(t, 2*pullMessages+pullMessages/2)
	for left := rows; len(left) > 0; {
		n := min(len(left), batchMessages)
		must[int](t)(s.WriteRows(t.Context(), left[:n]))
		left = left[n:]
	}
	want := must[core.Digest](t)(storetest.DigestRows(rows))
	s.pullSlots = make(chan struct{}, 1)
	s.pullSlots <- struct{}{} // somebody else has it
	var all sync.WaitGroup
	for range 3 {
		for _, node := range []string{"n1", "n2", "n3"} {
			all.Go(func() {
				if got, err := s.ReplicaDigest(t.Context(), core.TableUsers, node); err != nil || got != want {
					t.Errorf("%s: %+v, %v, want %+v", node, got, err, want)
				}
			})
		}
	}
	<-s.pullSlots
	all.Wait()
	if len(s.pullSlots) != 0 {
		t.Error("a scan that has ended keeps its turn")
	}
	q := scan{bucket: core.TableUsers.Bucket(), filter: everything}
	wantKind(t, s.run(t.Context(), q, func(entry) error { return core.Errorf(core.KindFailed, "enough") }), core.KindFailed)
	if len(s.pullSlots) != 0 {
		t.Error("a scan that failed keeps its turn")
	}
}

// Turns are counted by what requests may still bring.
func TestTurnsOfAPuller(t *testing.T) {
	t.Parallel()
	p := &pullReader{slots: make(chan struct{}, 1)}
	for _, step := range []struct {
		asked   int
		ok      bool
		holding int
	}{{0, true, 1}, {pullMessages, false, 1}} {
		p.asked = step.asked
		if ok, err := p.takeSlot(t.Context()); ok != step.ok || err != nil || p.heldSlots != step.holding {
			t.Errorf("with %d asked for: %v, %v, %d held", step.asked, ok, err, p.heldSlots)
		}
	}
	if p.releaseSlots(); p.heldSlots != 1 {
		t.Error("a request that is under way gave its turn back")
	}
	p.asked = 0
	if p.releaseSlots(); p.heldSlots != 0 || len(p.slots) != 0 {
		t.Error("a request that has ended keeps its turn")
	}
}
