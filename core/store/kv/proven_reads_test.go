package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/jsapi"
	"unibus/core/store/storetest"
)

// told collects what a store tells, and its alarms.
type told struct {
	mu      sync.Mutex
	changes []Change
	alarms  []*core.Error
}

func (t *told) config(replicas int) Config {
	return Config{
		Replicas: replicas, Timeout: 5 * time.Second,
		OnChange: func(c Change) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.changes = append(t.changes, c)
		},
		OnAlarm: func(e *core.Error) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.alarms = append(t.alarms, e)
		},
	}
}

func (t *told) alarmed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.alarms)
}

func (t *told) sawUser(id core.UserID, status core.UserStatus) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.changes {
		if c.User != nil && c.User.ID == id && c.User.Status == status {
			return true
		}
	}
	return false
}

// deafen makes a store's watch of a table hear nothing any more, as if its peer had died.
func deafen(tb testing.TB, s *Store, t core.Table) {
	tb.Helper()
	wb := s.buckets[t]
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	mustDo(tb, wb.cur.sub.Unsubscribe())
}

// leaderOf names the leader of a table's stream, "" without one.
func leaderOf(ctx context.Context, s *Store, t core.Table) string {
	info, err := s.api.StreamInfo(ctx, streamOf(t.Bucket()), time.Second)
	if err != nil || info.Cluster == nil {
		return ""
	}
	return info.Cluster.Leader
}

// leadBy makes a node the leader of a table.
func leadBy(tb testing.TB, s *Store, t core.Table, node string) {
	tb.Helper()
	eventually(tb, 30*time.Second, node+" leading "+t.Bucket(), func() bool {
		if leaderOf(tb.Context(), s, t) == node {
			return true
		}
		ctx, cancel := context.WithTimeout(tb.Context(), time.Second)
		defer cancel()
		_ = s.api.Request(ctx, "STREAM.LEADER.STEPDOWN."+streamOf(t.Bucket()), map[string]any{"placement": map[string]any{"preferred": node}}, nil)
		return false
	})
}

// A node that leads the buckets is cut off. The others go on and revoke: nobody
// whose revocation was acknowledged more than 3 s ago is admitted at it.
func TestDeposedNodeAdmitsNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	const (
		revoked = 220
		promise = 3 * time.Second // in docs/decisions/0004, whatever the code says
	)
	on, net := wiredServers(t)
	cfg := func(node string) Config { return Config{Replicas: 3, Nodes: 3, Timeout: 2 * time.Second, Node: node} }
	deposed, other := on.openWith(t, 0, cfg("n1")), on.openWith(t, 1, cfg("n2"))
	rows := userRows(t, revoked)
	must[int](t)(other.PutRows(t.Context(), rows))
	for _, table := range core.Tables() {
		leadBy(t, other, table, "n1")
	}
	var mu sync.Mutex
	acked := map[core.UserID]time.Time{}
	var admitted, late, denied int
	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			pace := time.NewTicker(200 * time.Microsecond) // the servers need the processor too
			defer pace.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-pace.C
				id := core.UserID(rows[i%len(rows)].Key)
				begun := time.Now()
				yes, _ := storetest.IsAuthorized(ctx, deposed, id)
				mu.Lock()
				at, gone := acked[id]
				switch {
				case !yes:
					denied++
				case gone && begun.Sub(at) > promise:
					late++
				default:
					admitted++
				}
				mu.Unlock()
			}
		})
	}
	count := func(n *int) int {
		mu.Lock()
		defer mu.Unlock()
		return *n
	}
	eventually(t, 10*time.Second, "admissions before the cut", func() bool { return count(&admitted) > 1000 })
	net.cut(0, true)
	for _, r := range rows {
		id := core.UserID(r.Key)
		eventually(t, 30*time.Second, "an acknowledged revocation", func() bool {
			_, err := other.SetUserStatus(t.Context(), id, core.UserRevoked, 5)
			return err == nil
		})
		mu.Lock()
		acked[id] = time.Now()
		mu.Unlock()
	}
	last, before := time.Now(), count(&denied)
	eventually(t, 20*time.Second, "decisions after the lease", func() bool {
		return time.Since(last) > promise+time.Second && count(&denied)+count(&late) > before
	})
	net.cut(0, false)
	eventually(t, 30*time.Second, "a proof after the cut", func() bool {
		yes, err := storetest.IsAuthorized(t.Context(), deposed, core.UserID(rows[0].Key))
		return err == nil && !yes
	})
	stop()
	asking.Wait()
	t.Logf("%d admissions, %d denials", admitted, denied)
	if late > 0 {
		t.Errorf("%d admissions more than %v after the revocation was acknowledged", late, promise)
	}
}

// The peer on which a watch lives disappears without a word.
func TestWatchHostDies(t *testing.T) { // not beside others: its bound is in seconds
	if testing.Short() {
		t.Skip("not with -short")
	}
	on, net := wiredServers(t)
	s := on.openWith(t, 0, Config{Replicas: 3, Timeout: 5 * time.Second, Node: "n1"})
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(t.Context(), u))
	host := 1
	if on.nodes[1].JetStreamIsLeader() {
		host = 2 // without a meta leader no watch can be replaced: that is another fault
	}
	name := fmt.Sprintf("n%d", host+1)
	for _, table := range core.Tables() {
		leadBy(t, s, table, "n1")
	}
	wb := s.buckets[core.TableUsers]
	asked := "" // the watch that was asked to give way: once, or its successor would have to as well
	hosted := func() bool {
		wb.mu.RLock()
		watch := wb.cur.name
		wb.mu.RUnlock()
		var info consumerInfo
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.api.Request(ctx, "CONSUMER.INFO."+streamOf(wb.bucket)+"."+watch, nil, &info)
		if err == nil && info.Cluster != nil && info.Cluster.Leader == name {
			return true
		}
		if err == nil && watch != asked {
			asked = watch
			wb.requestRestart()
		}
		return false
	}
	eventually(t, 20*time.Second, "the watch on "+name, hosted)
	mustDo(t, s.awaitProof(t.Context(), core.TableUsers))
	net.cut(host, true)
	cut := time.Now()
	mustDo(t, wb.prove(t.Context()))
	if took := time.Since(cut); took > 2*time.Second {
		t.Errorf("barriers were back after %v, want 2 s at most", took)
	} else {
		t.Logf("barriers were back after %v", took.Round(time.Millisecond))
	}
}

// A record is deleted while the watch is away, and the marker of it expires.
func TestExpiredMarkerLeavesNoGhost(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onSingle(t)
	var said told
	s := on.openWith(t, 0, said.config(1))
	u, kept := storetest.NewUser(t, "ghost"), storetest.NewUser(t, "kept")
	mustDo(t, s.AddUser(ctx, u))
	mustDo(t, s.AddUser(ctx, kept))
	bucket := core.TableUsers.Bucket()
	info := must[jsapi.StreamInfo](t)(s.api.StreamInfo(ctx, streamOf(bucket), time.Second))
	info.Config.AllowMsgTTL = true
	mustDo(t, s.api.UpdateStream(ctx, info.Config))
	deafen(t, s, core.TableUsers)

	marker := nats.NewMsg(subjectOf(bucket, string(u.ID)))
	marker.Header.Set(hdrOperation, "DEL")
	marker.Header.Set("Nats-TTL", "1s")
	reply := must[*nats.Msg](t)(s.api.Send(ctx, marker))
	mustDo(t, jsapi.Decode(reply, nil))
	eventually(t, 10*time.Second, "the end of the marker", func() bool {
		_, there, err := s.last(ctx, bucket, string(u.ID))
		return err == nil && !there
	})
	users := must[[]core.User](t)(s.Users(ctx))
	if len(users) != 1 || users[0].ID != kept.ID {
		t.Errorf("the ghost is among %d users", len(users))
	}
	yes, err := storetest.IsAuthorized(ctx, s, u.ID)
	if yes {
		t.Error("the ghost is admitted")
	}
	wantKind(t, err, core.KindUnavailable)
	wantKind(t, s.AddUser(ctx, u), core.KindUnavailable) // it may have been a revoked one
	if yes := must[bool](t)(storetest.IsAuthorized(ctx, s, kept.ID)); !yes {
		t.Error("a user that is there is denied")
	}
	eventually(t, time.Second, "an alarm, and the end of the ghost's sessions", func() bool {
		return said.alarmed() == 1 && said.sawUser(u.ID, core.UserRevoked)
	})
}

func TestRecreatedStreamIsAnAlarm(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	var said told
	s := on.openWith(t, 0, said.config(3))
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	js := must[jetstream.JetStream](t)(jetstream.New(on.conn(t, 1)))
	mustDo(t, js.DeleteStream(ctx, streamOf(core.TableUsers.Bucket())))
	other := on.open(t, 1, 3) // creates it again
	mustDo(t, other.AddUser(ctx, u))
	_, err := s.User(ctx, u.ID)
	wantKind(t, err, core.KindUnavailable)
	yes, err := storetest.IsAuthorized(ctx, s, u.ID)
	if yes || core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a user of a stream that was created again: %v, %v", yes, err)
	}
	wantKind(t, s.AddUser(ctx, storetest.NewUser(t, "late")), core.KindUnavailable)
	if said.alarmed() != 1 {
		t.Errorf("%d alarms, want one", said.alarmed())
	}
}

// Either clock alone ends the lease: the one stands still while the machine
// sleeps, the other may not be there.
func TestLeaseEndsByEitherClock(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	u := storetest.NewUser(t, "ann")
	mustDo(t, s.AddUser(ctx, u))
	must[bool](t)(storetest.IsAuthorized(ctx, s, u.ID))
	written := func() uint64 { return s.buckets[core.TableMembers].barriers.count.Load() }
	before := written()
	must[bool](t)(storetest.IsAuthorized(ctx, s, u.ID))
	if written() != before {
		t.Error("an admission under the lease wrote a barrier")
	}
	for what, old := range map[string]instant{
		"monotonic": {time.Now().Add(-leaseFor), sinceBoot()},
		"boot":      {time.Now(), sinceBoot() - leaseFor},
	} {
		before := written()
		s.buckets[core.TableMembers].barriers.last.Store(&old)
		if _, ok := s.Lease(); ok {
			t.Errorf("the lease holds although it is 3 s old by the %s clock", what)
		}
		if yes := must[bool](t)(storetest.IsAuthorized(ctx, s, u.ID)); !yes {
			t.Error("denied although a fresh barrier was possible")
		}
		if written() == before {
			t.Errorf("an admission after the lease (%s) wrote no barrier", what)
		}
	}
}

// A decision counts by the proof that was there before it: one that came while
// it stood still says nothing of what it read.
func TestALaterProofSaysNothingOfADecision(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := onSingle(t).open(t, 0, 1)
	must[bool](t)(storetest.IsAuthorized(ctx, s, storetest.NewUser(t, "ann").ID)) // a lease
	decided := 0
	yes := must[bool](t)(underLease(ctx, s, func() (bool, error) {
		if decided++; decided > 1 {
			return false, nil
		}
		// It stands still for longer than the lease; meanwhile another takes a proof.
		for _, wb := range s.admission {
			last := wb.barriers.last.Load()
			last.mono, last.boot = last.mono.Add(-leaseFor), last.boot-leaseFor
		}
		return true, s.renew(ctx)
	}))
	if yes || decided != 2 {
		t.Errorf("decided %d times, the last %v: reads from before the later proof counted", decided, yes)
	}
}

// Without requests nothing is written, and no watch is replaced.
func TestIdleStoreWritesNothing(t *testing.T) {
	t.Parallel()
	on := onSingle(t)
	s := on.open(t, 0, 1)
	mustDo(t, s.AddUser(t.Context(), storetest.NewUser(t, "ann")))
	must[core.Counts](t)(s.Counts(t.Context()))
	state := func() string {
		var all []string
		for _, table := range core.Tables() {
			var info struct {
				State struct {
					LastSeq   uint64 `json:"last_seq"`
					Consumers int    `json:"consumer_count"`
				} `json:"state"`
			}
			mustDo(t, s.api.RequestUntil(t.Context(), "STREAM.INFO."+streamOf(table.Bucket()), nil, &info))
			wb := s.buckets[table]
			wb.mu.RLock()
			all = append(all, fmt.Sprint(table, info.State, wb.cur.name))
			wb.mu.RUnlock()
		}
		return fmt.Sprint(all)
	}
	before, begun := state(), time.Now()
	eventually(t, 10*time.Second, "more than the watch may be silent", func() bool { return time.Since(begun) > 2*watchTimeout })
	must[core.Counts](t)(s.Counts(core.Unproven(t.Context())))
	if now := state(); now != before {
		t.Errorf("an idle store changed its buckets:\n%s\n%s", before, now)
	}
}

// Those who wait share a barrier, but only one that was not sent before they came.
func TestBarriersAreShared(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	wb := s.buckets[core.TableUsers]
	before := wb.barriers.count.Load()
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if err := wb.prove(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := wb.barriers.count.Load() - before; n < 1 || n > 100 {
		t.Errorf("200 callers took %d barriers", n)
	}
}

// A barrier has its own time, and none of those who wait needs a timer: with no
// quorum each is told within the operation timeout, and none before it has had it.
func TestABarrierEndsByItself(t *testing.T) {
	t.Parallel()
	const timeout = 600 * time.Millisecond
	on := ownServers(t, 1)
	s := on.openWith(t, 0, Config{Replicas: 1, Timeout: timeout})
	wb := s.buckets[core.TableUsers]
	on.nodes[0].Shutdown()
	on.nodes[0].WaitForShutdown()
	var all sync.WaitGroup
	for i := range 20 { // they come while the first is under way, and join the second
		all.Go(func() {
			jsapi.Sleep(t.Context(), time.Duration(i)*timeout/20)
			begun := time.Now()
			err := wb.prove(context.Background())
			took := time.Since(begun)
			if core.KindOf(err) != core.KindUnavailable {
				t.Errorf("a proof without a server: %v", err)
			}
			if took < timeout-4*jsapi.Pause || took > 2*timeout {
				t.Errorf("given up after %v, want %v", took, timeout)
			}
		})
	}
	all.Wait()
	s.closed.Store(true) // as Close does first
	wantKind(t, wb.prove(context.Background()), core.KindUnavailable)
	if _, err := s.User(context.Background(), "x"); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a closed store: %v", err)
	}
}

// A writer that does not know yet that the bucket was shut is refused whole.
func TestStaleWriterIsRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onCluster(t)
	stale, mover := on.open(t, 0, 3), on.open(t, 1, 3)
	u, room := storetest.NewUser(t, "ann"), storetest.NewRoom("r", "")
	mustDo(t, stale.AddUser(ctx, u))
	room.Owner = u.ID
	mustDo(t, stale.CreateRoom(ctx, room))
	mustDo(t, mover.Shut(ctx, 7))

	g := func(table core.Table) uint64 { return stale.buckets[table].guard().rev }
	late := core.UserRow(storetest.NewUser(t, "late"))
	none := uint64(0)
	for what, try := range map[string][]message{
		"with its own CAS": {{key: late.Key, value: late.Value, expect: &none}},
		"without":          {{key: late.Key, value: late.Value}},
		"several":          {{key: late.Key, value: late.Value}, {key: "x", value: []byte("{}")}},
	} {
		_, err := stale.sendAll(ctx, core.TableUsers.Bucket(), "n1", try, g(core.TableUsers)-1)
		if !jsapi.Answered(err, jsapi.CodeWrongLastSequence) {
			t.Errorf("%s: a write under an old guard: %v (%v)", what, err, cause(err))
		}
	}
	wantKind(t, stale.AddUser(ctx, storetest.NewUser(t, "late")), core.KindUnavailable)
	_, err := stale.SetUserStatus(ctx, u.ID, core.UserRevoked, 1)
	wantKind(t, err, core.KindUnavailable)
	yes, err := storetest.IsAuthorized(ctx, stale, u.ID)
	if yes || core.KindOf(err) != core.KindUnavailable {
		t.Errorf("admission by a shut bucket: %v, %v", yes, err)
	}

	// The copier of the mover writes, until the guards move again.
	if n := must[int](t)(mover.WriteRows(ctx, []core.Row{late})); n != 1 {
		t.Errorf("the copier wrote %d", n)
	}
	mustDo(t, stale.OpenFor(ctx, core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 7}))
	_, err = mover.WriteRows(ctx, []core.Row{late})
	wantKind(t, err, core.KindConflict)
	mustDo(t, stale.AddUser(ctx, storetest.NewUser(t, "after")))
	if users := must[[]core.User](t)(mover.Users(ctx)); len(users) != 3 {
		t.Errorf("%d users, want ann, the copied one and the one after", len(users))
	}
}

// Guards are opened for the authority that stands, and for no other.
func TestGuardsFollowTheAuthority(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	on := onSingle(t)
	s := New(Config{Conn: on.conn(t, 0), Replicas: 1, Timeout: 5 * time.Second, Budget: 30 * time.Second})
	mustDo(t, s.Open(ctx))
	t.Cleanup(func() { _ = s.Close() })
	kv := func(generation uint64) core.Authority {
		return core.Authority{Backend: core.BackendKV, Node: "n1", Generation: generation}
	}
	u := storetest.NewUser(t, "ann")
	wantKind(t, s.AddUser(ctx, u), core.KindUnavailable) // nobody opened them yet
	wantKind(t, s.OpenFor(ctx, kv(3)), core.KindRefused) // nobody made them ready for it
	wantKind(t, s.OpenFor(ctx, core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: 2}), core.KindRefused)
	mustDo(t, s.Shut(ctx, 3))
	mustDo(t, s.Shut(ctx, 3))
	wantKind(t, s.OpenFor(ctx, kv(2)), core.KindConflict)
	wantKind(t, s.OpenFor(ctx, core.Authority{Backend: core.BackendNone}), core.KindConflict)
	mustDo(t, s.OpenFor(ctx, kv(3)))
	mustDo(t, s.OpenFor(ctx, kv(3)))
	mustDo(t, s.AddUser(ctx, u))
	wantKind(t, s.Shut(ctx, 3), core.KindConflict)
	mustDo(t, s.Shut(ctx, 4))
	wantKind(t, s.OpenFor(ctx, kv(3)), core.KindConflict)

	// One that cannot be read is nobody's to open.
	value, _ := json.Marshal("open")
	e, _, err := s.last(ctx, core.TableRooms.Bucket(), keyGuard)
	mustDo(t, err)
	must[uint64](t)(s.put(ctx, core.TableRooms.Bucket(), message{key: keyGuard, value: value, expect: &e.rev}))
	wantKind(t, s.OpenFor(ctx, kv(4)), core.KindConflict)
}

// A message of the watch that never arrived, on the way or at the end, is found out.
func TestALostMessageEndsTheWatch(t *testing.T) {
	t.Parallel()
	s := onSingle(t).open(t, 0, 1)
	wb := s.buckets[core.TableUsers]
	for _, c := range []struct {
		what   string
		next   func()
		within time.Duration
	}{
		{"the next message", func() { mustDo(t, s.AddUser(t.Context(), storetest.NewUser(t, "ann"))) }, heartbeat / 2}, // before a heartbeat could tell
		{"a heartbeat", func() {}, 3 * heartbeat},
	} {
		wb.mu.Lock()
		before := wb.cur
		before.delivered-- // as if one of those that were sent had not come
		wb.mu.Unlock()
		c.next()
		eventually(t, c.within, "the end of the watch by "+c.what, func() bool {
			wb.mu.RLock()
			defer wb.mu.RUnlock()
			return before.dead
		})
		eventually(t, 10*time.Second, "a new watch", func() bool {
			wb.mu.RLock()
			defer wb.mu.RUnlock()
			return wb.cur != before
		})
	}
}
