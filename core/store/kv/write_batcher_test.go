package kv

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/store/storetest"
)

// Concurrent writers of one bucket share a batch, and a batch that is refused because
// of one of them costs only that one its write.
func TestWritesGoTogether(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	wb := s.buckets[core.TableUsers]
	stale := storetest.NewUser(t, "stale")
	mustDo(t, s.AddUser(t.Context(), stale))

	wb.writeLock <- struct{}{} // somebody's write is under way
	var all sync.WaitGroup
	const many = 20
	errs := make([]error, many)
	ids := make([]core.UserID, many)
	write := func(i int) {
		u := storetest.NewUser(t, fmt.Sprint(i))
		ids[i] = u.ID
		all.Go(func() { _, errs[i] = s.replace(t.Context(), core.UserRow(u), 0) })
	}
	sends := func(running bool, waiting int) func() bool {
		return func() bool {
			wb.batcher.mu.Lock()
			defer wb.batcher.mu.Unlock()
			return wb.batcher.running == running && len(wb.batcher.waiting) == waiting
		}
	}
	eventually(t, 5*time.Second, "nobody sends", sends(false, 0))
	write(0)
	eventually(t, 5*time.Second, "the first is taken", sends(true, 0))
	for i := 1; i < many; i++ {
		write(i)
	}
	var refused error
	all.Go(func() { _, refused = s.replace(t.Context(), core.UserRow(stale), 0) }) // it is there
	eventually(t, 5*time.Second, "all others wait", sends(true, many))
	<-wb.writeLock
	all.Wait()

	wantKind(t, refused, core.KindConflict)
	for i, err := range errs {
		mustDo(t, err)
		if ok, err := storetest.IsAuthorized(t.Context(), s, ids[i]); err != nil || !ok {
			t.Errorf("user %d: %v, %v", i, ok, err)
		}
	}
}

// Two changes of one record do not share a batch: the later has to see the earlier.
func TestNoKeyTwiceInOneBatch(t *testing.T) {
	t.Parallel()
	write := func(keys ...string) *queuedWrite {
		p := &queuedWrite{}
		for _, k := range keys {
			p.messages = append(p.messages, message{key: k})
		}
		return p
	}
	var w writeBatcher
	for _, p := range []*queuedWrite{write("a"), write("b", "c"), write("c"), write("d")} {
		w.add(p)
	}
	var sizes []int
	for group := w.nextGroup(); len(group) > 0; group = w.nextGroup() {
		sizes = append(sizes, len(group))
	}
	if fmt.Sprint(sizes) != "[2 2]" {
		t.Errorf("batches of %v writes, want a, b+c and then c, d", sizes)
	}
	if w.running {
		t.Error("nobody sends, and the next writer would wait for ever")
	}
}

// A canceled write is not written, and a batch has an end.
func TestWritesThatWait(t *testing.T) {
	t.Parallel()
	var w writeBatcher
	p := &queuedWrite{messages: []message{{key: "mine"}}}
	if !w.add(p) || !w.cancel(p) || w.cancel(p) {
		t.Error("a write that waits can be taken back once")
	}
	for i := range 2 * batchMessages {
		w.add(&queuedWrite{messages: []message{{key: fmt.Sprint(i)}}})
	}
	if n := len(w.nextGroup()); n >= batchMessages {
		t.Errorf("%d messages in one batch, and one more may carry the guard", n)
	}
}

// A request reads as of the moment at which it came in: one proof of each table is
// enough, and earlier acknowledged writes are seen.
func TestReadsShareOneProof(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	here, there := on.openWith(t, 0, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n1"}), on.openWith(t, 1, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n2"})
	u := storetest.NewUser(t, "u")
	mustDo(t, here.AddUser(t.Context(), u))
	count := func() (n uint64) {
		for _, wb := range here.buckets {
			n += wb.barriers.count.Load()
		}
		return n
	}
	for i := range 20 {
		status := core.UserRevoked
		if i%2 == 0 {
			status = core.UserActive
		}
		must[core.User](t)(there.SetUserStatus(t.Context(), u.ID, status, 1))
		ctx, before := core.AsOf(t.Context(), time.Now()), count()
		for range 5 {
			got := must[core.User](t)(here.User(ctx, u.ID))
			if got.Status != status {
				t.Fatalf("round %d: %s, which is older than the request", i, got.Status)
			}
			must[[]core.RoomID](t)(here.RoomsOf(ctx, u.ID))
			must[[]core.Room](t)(here.Rooms(ctx))
		}
		if n := count() - before; n < 2 || n > 3 {
			t.Errorf("%d barriers for 15 reads, want one of each table", n)
		}
	}
}

// A change that met a newer revision is decided on what is there by then.
func TestConflictIsDecidedAnew(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	here, there := on.openWith(t, 0, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n1"}), on.openWith(t, 1, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n2"})
	u := storetest.NewUser(t, "u")
	mustDo(t, here.AddUser(t.Context(), u))
	ctx := core.AsOf(t.Context(), time.Now())
	for i := range 30 {
		must[core.User](t)(there.SetKEMKey(t.Context(), u.ID, fmt.Appendf(nil, "there %d", i), 1))
		must[core.User](t)(here.SetKEMKey(ctx, u.ID, fmt.Appendf(nil, "here %d", i), 2)) // its reads are older than the write before
	}
}
