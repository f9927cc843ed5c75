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

// watchedBucket keeps one bucket in memory from a watch, and proves by barriers
// that it is current: see DESIGN.md. The watch is replaced when it hears nothing,
// when a message of it was lost, and when it did not deliver a barrier in time.
type watchedBucket struct {
	client    *bucketClient
	name      core.Table
	bucket    string
	guardOnly bool // its rows are never kept: only internal keys are watched
	keysOnly  bool // of its rows only the keys are kept
	node      string
	onChange  func(Change)
	onAlarm   func(*core.Error)

	mu       sync.RWMutex
	cur      *watch               // nil until the first has caught up
	created  string               // when the stream was created, as the server says it
	vanished map[string]struct{}  // keys whose records vanished without a state
	waiters  map[*waiter]struct{} // for what the watch has yet to deliver

	failed atomic.Pointer[core.Error] // why no read is answered any more; set under mu

	guardsReady     chan struct{} // closed when the first watch has caught up, or the bucket has failed
	rowsReady       chan struct{} // likewise, with the rows
	rowsWanted      atomic.Bool   // the rows are wanted, not the guards alone
	restartWanted   atomic.Bool   // a new watch is wanted
	restartRequests chan struct{}

	barriers  barriers
	batcher   writeBatcher
	writeLock chan struct{} // holds a token while a guarded write is under way
}

type waiter struct {
	seen func(*table) bool
	done chan struct{}
}

func newWatchedBucket(bc *bucketClient, name core.Table, node string, emit func(Change), alarm func(*core.Error)) *watchedBucket {
	wb := &watchedBucket{
		client: bc, name: name, bucket: name.Bucket(), node: node, onChange: emit, onAlarm: alarm,
		vanished: map[string]struct{}{}, waiters: map[*waiter]struct{}{},
		guardsReady: make(chan struct{}), rowsReady: make(chan struct{}), restartRequests: make(chan struct{}, 1), writeLock: make(chan struct{}, 1),
	}
	switch name {
	case core.TableRoomKeys:
		wb.keysOnly = true // boxes are large, and no decision reads them
	case core.TableRoomsByMember:
		wb.guardOnly = true // derived from members
	}
	return wb
}

// checkInterval is between the moments at which a watch may be found silent: those of all
// buckets wake the process together. Before it can be that silent a watch is not looked at.
const checkInterval = 500 * time.Millisecond

// run keeps a watch until ctx ends, the connection is closed or the bucket has
// failed.
func (wb *watchedBucket) run(ctx context.Context) {
	defer wb.stop()
	for ctx.Err() == nil && !wb.client.api.Conn.IsClosed() && wb.failure() == nil {
		if wb.stale() {
			if err := wb.restart(ctx); err != nil && ctx.Err() == nil {
				wb.client.log.Debug("a bucket cannot be watched yet", "bucket", wb.bucket, "err", err)
				jsapi.Sleep(ctx, 4*jsapi.Pause)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-wb.restartRequests:
		case <-time.After(core.TickAfter(wb.freshFor(), checkInterval)):
		}
	}
}

func (wb *watchedBucket) stop() {
	wb.mu.Lock()
	cur := wb.cur
	if cur != nil {
		cur.dead = true
	}
	wb.mu.Unlock()
	if cur != nil {
		cur.stop()
	}
}

func (wb *watchedBucket) failure() *core.Error { return wb.failed.Load() }

// open is true where users may use the bucket.
func (wb *watchedBucket) open() bool {
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	return wb.cur != nil && wb.cur.rows && wb.cur.table.guard.Open
}

// caughtUp is true once the first watch has caught up.
func (wb *watchedBucket) caughtUp() bool {
	select {
	case <-wb.guardsReady:
		return true
	default:
		return false
	}
}

func (wb *watchedBucket) stale() bool {
	if wb.restartWanted.Load() {
		return true
	}
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	return wb.cur == nil || wb.cur.dead || time.Since(wb.cur.heard) > watchTimeout
}

// freshFor is how long the watch may stay silent from now on before it is stale.
func (wb *watchedBucket) freshFor() time.Duration {
	wb.mu.RLock()
	defer wb.mu.RUnlock()
	if wb.cur == nil {
		return 0
	}
	return watchTimeout - time.Since(wb.cur.heard) + time.Millisecond
}

// requestRestart asks for a new watch.
func (wb *watchedBucket) requestRestart() {
	wb.restartWanted.Store(true)
	select {
	case wb.restartRequests <- struct{}{}:
	default:
	}
}

// loseWatch marks a watch as useless. The caller holds mu.
func (wb *watchedBucket) loseWatch(n *watch, why string) {
	n.dead = true
	wb.client.log.Debug("a watch is replaced", "bucket", wb.bucket, "why", why)
	wb.requestRestart()
}

// restart watches into a new table, which replaces the old one when it has
// everything that the leader had. The old watch goes on meanwhile.
func (wb *watchedBucket) restart(ctx context.Context) error {
	wb.restartWanted.Store(false)
	n := wb.newWatch()
	err := wb.load(ctx, n)
	for try := 0; err == nil && !wb.replaceWatch(n); try++ {
		err = wb.catchUpWithOld(ctx, n, try)
	}
	if err != nil {
		wb.restartWanted.Store(true)
		wb.mu.Lock()
		n.dead = true
		wb.mu.Unlock()
		n.stop()
	}
	return err
}

// largeTable is how many keys make a table large: such tables are read one at a
// time. The server sends a watch up to 32 MiB ahead of flow control; those of all
// tables at once are more than it lets wait for a connection before it ends the
// connection.
const largeTable = 20_000

// load brings a watch to where the leader is. Large tables take turns.
func (wb *watchedBucket) load(ctx context.Context, n *watch) error {
	if n.large = wb.large(ctx, n); !n.large {
		return wb.startAndCatchUp(ctx, n)
	}
	select {
	case wb.client.largeTableLock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-wb.client.largeTableLock }()
	return wb.startAndCatchUp(ctx, n)
}

func (wb *watchedBucket) large(ctx context.Context, n *watch) bool {
	if len(n.filters) > 0 {
		return false
	}
	wb.mu.RLock()
	known, keys := wb.cur != nil && wb.cur.rows, 0
	if known {
		keys = len(wb.cur.table.records)
	}
	wb.mu.RUnlock()
	if !known {
		if info, err := wb.client.api.StreamInfo(ctx, streamOf(wb.bucket), jsapi.Attempt); err == nil {
			keys = info.State.Messages
		}
	}
	return keys > largeTable
}

const overtakeTries = 20

// catchUpWithOld brings a new watch to where the old one is: reads never go back.
// The old one may have seen messages that are gone by now, so the node writes one
// of its own.
func (wb *watchedBucket) catchUpWithOld(ctx context.Context, n *watch, try int) error {
	if try == overtakeTries {
		return context.DeadlineExceeded
	}
	wb.mu.RLock()
	seq := wb.cur.table.seq
	wb.mu.RUnlock()
	n.setTarget(seq)
	if err := n.caughtUp(ctx); err == nil || try == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	wctx, cancel := context.WithTimeout(ctx, jsapi.Attempt)
	defer cancel()
	_, err := wb.client.put(wctx, wb.bucket, message{key: watchKey(wb.node)})
	return notProven(err, wb.bucket)
}

func (wb *watchedBucket) startAndCatchUp(ctx context.Context, n *watch) error {
	if err := n.start(ctx); err != nil {
		return err
	}
	target, err := wb.newestSequence(ctx, n.filters)
	if err != nil {
		return err
	}
	// Asked after the consumer was created, so that both are of the same stream.
	info, err := wb.client.api.StreamInfo(ctx, streamOf(wb.bucket), jsapi.Attempt)
	if err != nil {
		return err
	}
	if err := wb.sameStream(info.Created); err != nil {
		return err
	}
	n.setTarget(target)
	return n.caughtUp(ctx)
}

// newestSequence asks the leader for the last sequence that the watch would
// deliver.
func (wb *watchedBucket) newestSequence(ctx context.Context, filters []string) (uint64, error) {
	if len(filters) == 0 {
		filters = []string{everything}
	}
	var seq uint64
	for _, filter := range filters {
		try, cancel := context.WithTimeout(ctx, jsapi.Attempt)
		e, _, err := wb.client.last(try, wb.bucket, filter)
		cancel()
		if err != nil {
			return 0, err
		}
		seq = max(seq, e.rev)
	}
	return seq, nil
}

// sameStream fails the bucket where its stream was created again: the new stream's
// messages say nothing about the rows that were kept here before.
func (wb *watchedBucket) sameStream(created string) error {
	if created == "" {
		return core.Errorf(core.KindFailed, "the cluster did not say when %s was created", wb.bucket)
	}
	wb.mu.Lock()
	if wb.created == "" {
		wb.created = created
	}
	same := wb.created == created
	wb.mu.Unlock()
	if same {
		return nil
	}
	err := core.Errorf(core.KindUnavailable, "%s was deleted and created again while this node used it: no record of it is used", wb.bucket).
		WithNext("find out who removed the stream %s; restore it from a backup, then restart the nodes", streamOf(wb.bucket))
	wb.fail(err)
	return err
}

func (wb *watchedBucket) fail(err *core.Error) {
	wb.mu.Lock()
	wb.failed.Store(err)
	wb.barriers.forget()
	for w := range wb.waiters {
		close(w.done)
	}
	clear(wb.waiters)
	closeOnce(wb.guardsReady)
	closeOnce(wb.rowsReady)
	wb.mu.Unlock()
	wb.onAlarm(err)
}

// replaceWatch puts a watch that has caught up in the place of the one before, and
// notifies of the differences. It is false where the old one is ahead.
func (wb *watchedBucket) replaceWatch(n *watch) bool {
	wb.mu.Lock()
	old := wb.cur
	if old != nil && n.table.seq < old.table.seq {
		wb.mu.Unlock()
		return false
	}
	wb.cur = n
	var missing []string
	if old != nil {
		old.dead = true
		missing = wb.notifyDifferences(old.table, n.table)
	}
	closeOnce(wb.guardsReady)
	if n.rows {
		closeOnce(wb.rowsReady)
	}
	wb.wakeWaiters()
	wb.mu.Unlock()
	if old != nil {
		old.stop()
	}
	wb.reportMissing(missing)
	return true
}

// notifyDifferences reports what is new in a table, and returns the keys that are
// missing in it without a delete marker. The caller holds mu.
func (wb *watchedBucket) notifyDifferences(old, now *table) (missing []string) {
	if !now.guard.Open {
		return nil // a migration is writing: rows may be deleted, and no user is admitted
	}
	for key, r := range now.records {
		if before, ok := old.records[key]; !ok || before.rev < r.rev {
			wb.notify(key, r)
		}
	}
	for key, before := range old.records {
		if _, ok := now.records[key]; ok || before.rev > now.seq {
			continue
		}
		wb.notify(key, record{})
		if _, marked := now.deletedRevs[key]; !marked {
			wb.vanished[key] = struct{}{}
			missing = append(missing, key)
		}
	}
	for key := range wb.vanished { // a healed replica has them again
		if _, ok := now.records[key]; ok {
			delete(wb.vanished, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// reportMissing raises the alarm for records that vanished without a state.
func (wb *watchedBucket) reportMissing(keys []string) {
	if len(keys) == 0 {
		return
	}
	wb.onAlarm(core.Errorf(core.KindUnavailable, "%d records of %s vanished without having been removed, the first %s: they are denied",
		len(keys), wb.bucket, keys[0]).WithNext("look for damaged or deleted data on the nodes before anything is written again"))
}

// apply brings a message into a watch's table. The caller holds mu.
func (wb *watchedBucket) apply(n *watch, d decodedMessage) {
	e, r := d.entry, d.record
	t, live := n.table, n == wb.cur
	t.seq = e.rev
	switch {
	case e.key[0] == '_':
		t.applyInternal(wb.node, e, d.header)
	case e.deleted:
		_, known := t.records[e.key]
		t.remove(e.key, e.rev)
		if live && known && t.guard.Open {
			wb.notify(e.key, record{})
			go wb.onAlarm(core.Errorf(core.KindUnavailable, "the record %s of %s was deleted by other means than unibus", e.key, wb.bucket).
				WithNext("find out who has rights on the subject %s", subjectOf(wb.bucket, ">")))
		}
	default:
		t.put(e.key, r)
		if live {
			delete(wb.vanished, e.key)
			if t.guard.Open {
				wb.notify(e.key, r)
			}
		}
	}
	if live {
		wb.wakeWaiters()
	}
}

// applyInternal brings an internal key into the table.
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

func (wb *watchedBucket) notify(key string, r record) {
	if c, ok := change(wb.name, key, r); ok {
		wb.onChange(c)
	}
}

// wakeWaiters ends the waits whose condition holds. The caller holds mu.
func (wb *watchedBucket) wakeWaiters() {
	for w := range wb.waiters {
		if w.seen(wb.cur.table) {
			delete(wb.waiters, w)
			close(w.done)
		}
	}
}

// await waits until the watch has delivered something.
func (wb *watchedBucket) await(ctx context.Context, seen func(*table) bool) error {
	wb.mu.Lock()
	if broken := wb.failure(); broken != nil {
		wb.mu.Unlock()
		return broken
	}
	if wb.cur != nil && seen(wb.cur.table) {
		wb.mu.Unlock()
		return nil
	}
	w := &waiter{seen, make(chan struct{})}
	wb.waiters[w] = struct{}{}
	wb.mu.Unlock()
	select {
	case <-w.done:
		if broken := wb.failure(); broken != nil {
			return broken
		}
		return nil
	case <-ctx.Done():
		wb.mu.Lock()
		delete(wb.waiters, w)
		wb.mu.Unlock()
		return ctx.Err()
	}
}

// awaitSeq waits until the watch has come to a write of this node's own. A watch
// that is late is replaced.
func (wb *watchedBucket) awaitSeq(ctx context.Context, seq uint64) error {
	seen := func(t *table) bool { return t.seq >= seq }
	for {
		try, cancel := context.WithTimeout(ctx, barrierWait)
		err := wb.await(try, seen)
		cancel()
		if err == nil || ctx.Err() != nil || wb.failure() != nil {
			return err
		}
		wb.requestRestart()
	}
}

// watchRows has the rows watched from now on; a watch of the guards alone is
// replaced.
func (wb *watchedBucket) watchRows() {
	if !wb.rowsWanted.Swap(true) {
		wb.requestRestart()
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

// awaitGuards waits for the first watch.
func (wb *watchedBucket) awaitGuards(ctx context.Context) error {
	return wb.awaitReady(ctx, wb.guardsReady)
}

func (wb *watchedBucket) awaitReady(ctx context.Context, first <-chan struct{}) error {
	select {
	case <-first:
		if broken := wb.failure(); broken != nil {
			return broken
		}
		return nil
	case <-ctx.Done():
		return explain(ctx.Err(), "reading "+wb.bucket)
	}
}
