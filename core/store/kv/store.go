package kv

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// Config is what a Store needs.
type Config struct {
	Conn     *nats.Conn    // in the account that has JetStream; the Store does not close it
	Replicas int           // 1 to 5: the replicas that Open gives new buckets, and raises old ones to
	Nodes    int           // how many nodes the cluster is configured with; 0: not known
	Timeout  time.Duration // of one operation; 0: 2 s
	Budget   time.Duration // of Open; 0: 120 s
	Logger   *slog.Logger  // nil: none

	// A table that is read in key order is sorted in parts of sortMemory bytes (0:
	// 4 MiB); one that is larger goes through a file in TempDir that only its
	// owner can open. "": the system's own; a directory that is not there is made.
	TempDir    string
	sortMemory int

	// Node names the writer of barriers: one store a name. "": a random one.
	Node string
	// OnChange gets what the store's watch has seen change while the store is open
	// to users, in order, from one goroutine, after reads have it. It must not wait
	// for the store's writes. nil: no calls.
	OnChange func(Change)
	// OnAlarm is told of damage that an operator has to know of: the records concerned
	// are denied from now on. nil: no calls.
	OnAlarm func(*core.Error)
	// OnWrite is called with the bucket and the first key before each write of users' records for a
	// caller's change, but not for the store's own repair of the index. Its error is the write's,
	// and nothing is sent. For tests that stop at every write. nil: nothing is refused.
	OnWrite func(bucket, key string) error
	// NewestReadable is the highest version of a row that every node can read, and a node
	// that reads no newer one. Newer rows are not written: that node would deny what they
	// stand for. nil: all rows can be read.
	NewestReadable func() (version int, node string)
}

// Change is one record as it is now; the other fields are nil. A record that was
// removed from its bucket comes as a revoked user, a removed member or an archived room.
type Change struct {
	User   *core.User
	Member *core.Member
	Room   *core.Room
}

// Store is the control plane in five replicated buckets. Its methods may be
// called from many goroutines.
type Store struct {
	bucketClient
	replicas       int
	nodes          int
	buckets        map[core.Table]*watchedBucket
	admission      [2]*watchedBucket // users and members, by which admission decides
	changes        changes
	reconciler     reconciler
	shutRevisions  atomic.Pointer[map[core.Table]uint64] // the guards' revisions that Shut wrote
	chains         chainCache
	boxTimes       boxTimes
	tempDir        string
	memory         int                            // of one sorter
	onWrite        func(bucket, key string) error // Config.OnWrite
	newestReadable func() (int, string)           // Config.NewestReadable

	mu      sync.Mutex
	end     context.CancelFunc // of the watches; nil before Open
	working sync.WaitGroup
}

var _ core.Store = (*Store)(nil)

// New makes a Store; nothing is sent before Open.
func New(c Config) *Store {
	s := &Store{replicas: c.Replicas, nodes: c.Nodes, tempDir: c.TempDir, memory: c.sortMemory}
	s.api.Conn, s.timeout, s.budget, s.log = c.Conn, c.Timeout, c.Budget, c.Logger
	s.setDefaults()
	node := c.Node
	if node == "" {
		node = token()
	}
	alarm := func(e *core.Error) {
		s.log.Error("the replicated store does not trust its bucket", "error", e.Text, "next", e.Next)
		if c.OnAlarm != nil {
			c.OnAlarm(e)
		}
	}
	s.onWrite, s.newestReadable = c.OnWrite, c.NewestReadable
	s.changes = changes{tell: c.OnChange, more: make(chan struct{}, 1)}
	changed := func(c Change) { s.reconciler.note(c); s.changes.add(c) }
	s.buckets = map[core.Table]*watchedBucket{}
	for _, t := range core.Tables() {
		s.buckets[t] = newWatchedBucket(&s.bucketClient, t, node, changed, alarm)
	}
	s.admission = [2]*watchedBucket{s.buckets[core.TableUsers], s.buckets[core.TableMembers]}
	return s
}

// Open creates the five buckets or opens them, and tries again within the budget:
// at a cold start no one answers before the meta group has a leader. It repairs
// what an update can repair, and refuses the rest (KindRefused); it raises
// replicas and never lowers them. Then it watches the buckets, and returns when it
// has what their leaders have. A second Open changes nothing.
func (s *Store) Open(ctx context.Context) error {
	for _, wb := range s.buckets {
		wb.watchRows()
	}
	return s.begin(ctx, func(ctx context.Context, wb *watchedBucket) error { return wb.awaitReady(ctx, wb.rowsReady) })
}

// OpenGuards is Open for a migration: it watches the guards and reads no rows into
// memory. The users' methods answer nothing before Open.
func (s *Store) OpenGuards(ctx context.Context) error {
	return s.begin(ctx, func(ctx context.Context, wb *watchedBucket) error { return wb.awaitGuards(ctx) })
}

// CreateBuckets creates missing buckets with the given replicas from the
// beginning, which takes a tenth of the time of creating them with one and raising
// them. It is a shortcut: where it fails, OpenGuards and Scale try again and
// report why.
func (s *Store) CreateBuckets(ctx context.Context, replicas int) {
	if checkReplicas(replicas, s.nodes) != nil || s.closed.Load() {
		return
	}
	_ = eachTable(func(t core.Table) error { // errors are only logged
		_, err := s.api.StreamInfo(ctx, streamOf(t.Bucket()), jsapi.Attempt)
		if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
			err = s.api.CreateStream(ctx, bucketConfig(t.Bucket(), max(replicas, s.replicas)))
		}
		if err != nil {
			s.log.Debug("a bucket was not created at once", "bucket", t.Bucket(), "err", err)
		}
		return nil
	})
}

func (s *Store) begin(ctx context.Context, ready func(context.Context, *watchedBucket) error) error {
	if err := checkReplicas(s.replicas, s.nodes); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	err := eachTable(func(t core.Table) error { return s.ensure(ctx, t.Bucket(), s.replicas) })
	if err != nil {
		return err
	}
	s.watch()
	return eachTable(func(t core.Table) error { return ready(ctx, s.buckets[t]) })
}

// watch starts the watches of all buckets, once; they end with Close.
func (s *Store) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil || s.closed.Load() {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.working.Go(func() { s.changes.run(ctx) })
	s.working.Go(func() { s.reconcile(ctx) })
	for _, wb := range s.buckets {
		s.working.Go(func() { wb.run(ctx) })
	}
}

// readyBucket is the watched bucket of a table once it has its first watch.
func (s *Store) readyBucket(ctx context.Context, t core.Table) (*watchedBucket, error) {
	wb := s.buckets[t]
	select {
	case <-wb.guardsReady:
	default:
		s.mu.Lock()
		begun := s.end != nil
		s.mu.Unlock()
		if !begun {
			return nil, core.Errorf(core.KindUnavailable, "the replicated store is not open on this node yet")
		}
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		return wb, wb.awaitGuards(ctx)
	}
	if broken := wb.failure(); broken != nil {
		return nil, broken
	}
	return wb, nil
}

func checkReplicas(replicas, nodes int) error {
	if replicas < 1 || replicas > 5 {
		return core.Errorf(core.KindInvalid, "%d replicas are not possible", replicas).WithNext("ask for 1 to 5")
	}
	if nodes > 0 && replicas > nodes {
		return core.Errorf(core.KindRefused, "%d replicas need %d nodes, and the cluster has %d", replicas, replicas, nodes).
			WithNext("ask for at most %d, or configure more nodes", nodes)
	}
	return nil
}

// eachTable runs f for the five tables at once and returns the first error in their order.
func eachTable(f func(core.Table) error) error {
	tables := core.Tables()
	errs := make([]error, len(tables))
	var all sync.WaitGroup
	for i, t := range tables {
		all.Go(func() { errs[i] = f(t) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Backend is core.BackendKV.
func (s *Store) Backend() core.Backend { return core.BackendKV }

// Close ends the use of the store; it does not close the connection. Twice is harmless.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	if end != nil {
		end()
		s.working.Wait()
	}
	return nil
}

// changes carries what the watches saw to OnChange, in order and without holding
// up a watch.
type changes struct {
	tell func(Change)
	more chan struct{}

	mu    sync.Mutex
	queue []func()
}

func (c *changes) add(change Change) {
	if c.tell != nil {
		c.push(func() { c.tell(change) })
	}
}

// flush returns once OnChange has returned for everything that was added before.
func (c *changes) flush(ctx context.Context) error {
	done := make(chan struct{})
	c.push(func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *changes) push(call func()) {
	c.mu.Lock()
	c.queue = append(c.queue, call)
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *changes) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.more:
		}
		c.mu.Lock()
		queue := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, call := range queue {
			call()
		}
	}
}
