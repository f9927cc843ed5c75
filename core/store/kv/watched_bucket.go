package kv

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// follower keeps one bucket in memory from a watch, and proves by barriers that
// what it has is current (DESIGN D4). The watch is replaced when it falls
// silent, when a message of it was lost, and when a barrier was not seen in time.
type watchedBucket struct {
	w      *bucketClient
	name   core.Table
	bucket string
	guardOnly bool // its rows are never kept: only the mechanism's keys are watched
	keysOnly   bool // keys alone
	node   string
	onChange   func(Change)
	onAlarm  func(*core.Error)

	mu      sync.RWMutex
	cur     *watch               // nil until the first has caught up
	created string               // when the stream was created, as the server says it
	vanished    map[string]struct{}  // keys whose records vanished without a state
	waiters map[*waiter]struct{} // for something that the watch has yet to deliver

	failed atomic.Pointer[core.Error] // nothing is answered any more, and why; set under mu

	guardsReady chan struct{} // closed when the first watch has caught up, or the follower is broken
	rowsReady chan struct{} // likewise, with the rows
	rowsWanted  atomic.Bool   // the rows are wanted, not the guards alone
	restartWanted   atomic.Bool   // somebody wants a new watch
	restartRequests chan struct{}

	barriers barriers
	batcher writeBatcher
	writeLock  chan struct{} // holds a token while a guarded write is under way
}

type waiter struct {
	seen func(*table) bool
	done chan struct{}
}

func newWatchedBucket(w *bucketClient, name core.Table, node string, emit func(Change), alarm func(*core.Error)) *watchedBucket {
	f := &watchedBucket{
		w: w, name: name, bucket: name.Bucket(), node: node, onChange: emit, onAlarm: alarm,
		vanished: map[string]struct{}{}, waiters: map[*waiter]struct{}{},
		guardsReady: make(chan struct{}), rowsReady: make(chan struct{}), restartRequests: make(chan struct{}, 1), writeLock: make(chan struct{}, 1),
	}
	switch name {
	case core.TableRoomKeys:
		f.keysOnly = true // boxes are large, and nothing decides by what is in them
	case core.TableRoomsByMember:
		f.guardOnly = true // derived: members is the truth
	}
	return f
}

const checkInterval = 500 * time.Millisecond

// run keeps a watch until ctx ends, the connection is closed or the stream is not the one it was.
func (f *watchedBucket) run(ctx context.Context) {
	defer f.stop()
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for ctx.Err() == nil && !f.w.api.Conn.IsClosed() && f.failure() == nil {
		if f.stale() {
			if err := f.restart(ctx); err != nil && ctx.Err() == nil {
				f.w.log.Debug("a bucket cannot be watched yet", "bucket", f.bucket, "err", err)
				jsapi.Sleep(ctx, 4*jsapi.Pause)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-f.restartRequests:
		case <-tick.C:
		}
	}
}

func (f *watchedBucket) stop() {
	f.mu.Lock()
	cur := f.cur
	if cur != nil {
		cur.dead = true
	}
	f.mu.Unlock()
	if cur != nil {
		cur.stop()
	}
}

func (f *watchedBucket) failure() *core.Error { return f.failed.Load() }

// open says whether the bucket may be used.
func (f *watchedBucket) open() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.cur != nil && f.cur.rows && f.cur.table.guard.Open
}

// caughtUp says whether there was a first watch.
func (f *watchedBucket) caughtUp() bool {
	select {
	case <-f.guardsReady:
		return true
	default:
		return false
	}
}

func (f *watchedBucket) stale() bool {
	if f.restartWanted.Load() {
		return true
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.cur == nil || f.cur.dead || time.Since(f.cur.heard) > watchTimeout
}

// kick asks for a new watch.
func (f *watchedBucket) requestRestart() {
	f.restartWanted.Store(true)
	select {
	case f.restartRequests <- struct{}{}:
	default:
	}
}

// loseWatch marks a watch as useless. The caller holds mu.
func (f *watchedBucket) loseWatch(n *watch, why string) {
	n.dead = true
	f.w.log.Debug("a watch is given up", "bucket", f.bucket, "why", why)
	f.requestRestart()
}

// again watches anew into a new table and puts it in the place of the old one
// when it has everything that the leader had. The old watch goes on meanwhile.
func (f *watchedBucket) restart(ctx context.Context) error {
	f.restartWanted.Store(false)
	n := f.newWatch()
	err := f.load(ctx, n)
	for try := 0; err == nil && !f.replaceWatch(n); try++ {
		err = f.catchUpWithOld(ctx, n, try)
	}
	if err != nil {
		f.restartWanted.Store(true)
		f.mu.Lock()
		n.dead = true
		f.mu.Unlock()
		n.stop()
	}
	return err
}

// largeTable is how many keys make a table one that is read by itself. The
// server sends a watch up to 32 MiB ahead of what was answered for: those of all
// tables at once are more than it lets wait for a connection before it ends it.
const largeTable = 20_000

// load brings a watch to where the leader is. Large tables take turns.
func (f *watchedBucket) load(ctx context.Context, n *watch) error {
	if n.large = f.large(ctx, n); !n.large {
		return f.startAndCatchUp(ctx, n)
	}
	select {
	case f.w.largeTableLock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.w.largeTableLock }()
	return f.startAndCatchUp(ctx, n)
}

func (f *watchedBucket) large(ctx context.Context, n *watch) bool {
	if len(n.filters) > 0 {
		return false
	}
	f.mu.RLock()
	known, keys := f.cur != nil && f.cur.rows, 0
	if known {
		keys = len(f.cur.table.records)
	}
	f.mu.RUnlock()
	if !known {
		if info, err := f.w.api.StreamInfo(ctx, streamOf(f.bucket), jsapi.Attempt); err == nil {
			keys = info.State.Messages
		}
	}
	return keys > largeTable
}

const overtakeTries = 20

// overtake brings a new watch to where the old one is: reads never go back. The
// old one may have seen what is gone by now, so a write of one's own helps out.
func (f *watchedBucket) catchUpWithOld(ctx context.Context, n *watch, try int) error {
	if try == overtakeTries {
		return context.DeadlineExceeded
	}
	f.mu.RLock()
	seq := f.cur.table.seq
	f.mu.RUnlock()
	n.setFence(seq)
	if err := n.caughtUp(ctx); err == nil || try == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	wctx, cancel := context.WithTimeout(ctx, jsapi.Attempt)
	defer cancel()
	_, err := f.w.put(wctx, f.bucket, message{key: watchKey(f.node)})
	return err
}

func (f *watchedBucket) startAndCatchUp(ctx context.Context, n *watch) error {
	if err := n.start(ctx); err != nil {
		return err
	}
	fence, err := f.newestSequence(ctx, n.filters)
	if err != nil {
		return err
	}
	// Asked after the consumer was made, so that it is this stream's.
	info, err := f.w.api.StreamInfo(ctx, streamOf(f.bucket), jsapi.Attempt)
	if err != nil {
		return err
	}
	if err := f.sameStream(info.Created); err != nil {
		return err
	}
	n.setFence(fence)
	return n.caughtUp(ctx)
}

// newest asks the leader for the last sequence that the watch would deliver.
func (f *watchedBucket) newestSequence(ctx context.Context, filters []string) (uint64, error) {
	if len(filters) == 0 {
		filters = []string{everything}
	}
	var seq uint64
	for _, filter := range filters {
		try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
		e, _, err := f.w.last(try, f.bucket, filter)
		cancel()
		if err != nil {
			return 0, err
		}
		seq = max(seq, e.rev)
	}
	return seq, nil
}

// sameStream breaks the follower where the stream was made anew under it: what
// it holds then says nothing about what was kept here before.
func (f *watchedBucket) sameStream(created string) error {
	if created == "" {
		return core.Errorf(core.KindFailed, "the cluster did not say when %s was created", f.bucket)
	}
	f.mu.Lock()
	if f.created == "" {
		f.created = created
	}
	same := f.created == created
	f.mu.Unlock()
	if same {
		return nil
	}
	err := core.Errorf(core.KindUnavailable, "%s was removed and made anew while this node used it: nothing in it is believed", f.bucket).
		WithNext("find out who removed the stream %s; restore it from a backup, then restart the nodes", streamOf(f.bucket))
	f.fail(err)
	return err
}

func (f *watchedBucket) fail(err *core.Error) {
	f.mu.Lock()
	f.failed.Store(err)
	f.barriers.forget()
	for w := range f.waiters {
		close(w.done)
	}
	clear(f.waiters)
	closeOnce(f.guardsReady)
	closeOnce(f.rowsReady)
	f.mu.Unlock()
	f.onAlarm(err)
}

// swap puts a watch that has caught up in the place of the one before, and
// tells what has changed between them. It is false where the old one is ahead.
func (f *watchedBucket) replaceWatch(n *watch) bool {
	f.mu.Lock()
	old := f.cur
	if old != nil && n.table.seq < old.table.seq {
		f.mu.Unlock()
		return false
	}
	f.cur = n
	var missing []string
	if old != nil {
		old.dead = true
		missing = f.notifyDifferences(old.table, n.table)
	}
	closeOnce(f.guardsReady)
	if n.rows {
		closeOnce(f.rowsReady)
	}
	f.wakeWaiters()
	f.mu.Unlock()
	if old != nil {
		old.stop()
	}
	f.reportMissing(missing)
	return true
}

// compare tells what is new in a table and returns the keys that are missing in
// it without a marker. The caller holds mu.
func (f *watchedBucket) notifyDifferences(old, now *table) (missing []string) {
	if !now.guard.Open {
		return nil // a move is writing: rows may really be removed, and nobody is admitted
	}
	for key, r := range now.records {
		if before, ok := old.records[key]; !ok || before.rev < r.rev {
			f.notify(key, r)
		}
	}
	for key, before := range old.records {
		if _, ok := now.records[key]; ok || before.rev > now.seq {
			continue
		}
		f.notify(key, record{})
		if _, marked := now.gone[key]; !marked {
			f.vanished[key] = struct{}{}
			missing = append(missing, key)
		}
	}
	for key := range f.vanished { // a replica that was healed has them again
		if _, ok := now.records[key]; ok {
			delete(f.vanished, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// reportMissing raises the alarm for records that vanished without a state.
func (f *watchedBucket) reportMissing(keys []string) {
	if len(keys) == 0 {
		return
	}
	f.onAlarm(core.Errorf(core.KindUnavailable, "%d records of %s vanished without having been removed, the first %s: they are denied",
		len(keys), f.bucket, keys[0]).WithNext("look for damaged or deleted data on the nodes before anything is written again"))
}

// take brings a message into a watch's table. The caller holds mu.
func (f *watchedBucket) apply(n *watch, e entry, r record, h nats.Header) {
	t, live := n.table, n == f.cur
	t.seq = e.rev
	switch {
	case e.key[0] == '_':
		t.applyInternal(f.node, e, h)
	case e.deleted:
		_, known := t.records[e.key]
		t.remove(e.key, e.rev)
		if live && known && t.guard.Open {
			f.notify(e.key, record{})
			go f.onAlarm(core.Errorf(core.KindUnavailable, "the record %s of %s was deleted by other means than unibus", e.key, f.bucket).
				WithNext("find out who has rights on the subject %s", subjectOf(f.bucket, ">")))
		}
	default:
		t.put(e.key, r)
		if live {
			delete(f.vanished, e.key)
			if t.guard.Open {
				f.notify(e.key, r)
			}
		}
	}
	if live {
		f.wakeWaiters()
	}
}

// mechanism takes in a key that is no row.
func (t *table) applyInternal(node string, e entry, h nats.Header) {
	switch e.key {
	case keyGuard:
		value := e.value
		if v := h.Get(hdrGuard); v != "" {
			value = []byte(v)
		}
		t.guard = decodeGuard(value, e.rev)
	case barrierKey(node):
		t.token, t.tokenAt = h.Get(hdrToken), e.rev
	}
}

func (f *watchedBucket) notify(key string, r record) {
	if c, ok := change(f.name, key, r); ok {
		f.onChange(c)
	}
}

// wake ends the waits whose time has come. The caller holds mu.
func (f *watchedBucket) wakeWaiters() {
	for w := range f.waiters {
		if w.seen(f.cur.table) {
			delete(f.waiters, w)
			close(w.done)
		}
	}
}

// await waits until the watch has delivered something.
func (f *watchedBucket) await(ctx context.Context, seen func(*table) bool) error {
	f.mu.Lock()
	if broken := f.failure(); broken != nil {
		f.mu.Unlock()
		return broken
	}
	if f.cur != nil && seen(f.cur.table) {
		f.mu.Unlock()
		return nil
	}
	w := &waiter{seen, make(chan struct{})}
	f.waiters[w] = struct{}{}
	f.mu.Unlock()
	select {
	case <-w.done:
		if broken := f.failure(); broken != nil {
			return broken
		}
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		delete(f.waiters, w)
		f.mu.Unlock()
		return ctx.Err()
	}
}

// awaitSeq waits until the watch has come to a write of this node's own. A watch
// that is late is replaced.
func (f *watchedBucket) awaitSeq(ctx context.Context, seq uint64) error {
	seen := func(t *table) bool { return t.seq >= seq }
	for {
		try, cancel := context.WithTimeout(ctx, barrierWait)
		err := f.await(try, seen)
		cancel()
		if err == nil || ctx.Err() != nil || f.failure() != nil {
			return err
		}
		f.requestRestart()
	}
}

// want has the rows watched from now on; a watch of the guards alone is replaced.
func (f *watchedBucket) watchRows() {
	if !f.rowsWanted.Swap(true) {
		f.requestRestart()
	}
}

// closeOnce closes a channel that may be closed already. The caller holds mu.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// opened waits for the first watch.
func (f *watchedBucket) awaitGuards(ctx context.Context) error { return f.awaitReady(ctx, f.guardsReady) }

func (f *watchedBucket) awaitReady(ctx context.Context, first <-chan struct{}) error {
	select {
	case <-first:
		if broken := f.failure(); broken != nil {
			return broken
		}
		return nil
	case <-ctx.Done():
		return explain(ctx.Err(), "reading "+f.bucket)
	}
}
