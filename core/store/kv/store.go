package kv

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// Config is what a Store needs.
type Config struct {
	Conn     *nats.Conn    // in the account that has JetStream; the Store does not close it
	Replicas int           // 1 to 5: what Open gives new buckets and raises old ones to
	Nodes    int           // how many nodes the cluster is configured with; 0: not known
	Timeout  time.Duration // of one operation; 0: 2 s
	Budget   time.Duration // of Open; 0: 120 s
	Logger   *slog.Logger  // nil: none

	// A table that is read in key order is sorted in parts of SortMemory bytes (0:
	// 4 MiB); one that is larger goes through a file in TempDir that nobody else
	// can open. "": the system's own; a directory that is not there is made.
	TempDir    string
	SortMemory int

	// Node names the writer of barriers: one store a name. "": a random one.
	Node string
	// OnChange is told what the store's watch has seen change while the store is
	// open to users, in order, from one goroutine, after reads have it. It must
	// not wait for the store's writes. nil: nobody is told.
	OnChange func(Change)
	// OnAlarm is told what no operator should find out by himself: from now on
	// what it is about is denied. nil: nobody is told.
	OnAlarm func(*core.Error)
	// OnWrite is asked before each write of users' records, with the bucket and the
	// first key; an error of it is the write's, and nothing is sent. For tests that
	// stop at every write. nil: nothing is refused.
	OnWrite func(bucket, key string) error
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
	wire
	replicas  int
	nodes     int
	follow    map[core.Table]*follower
	admission [2]*follower // users and members, by which admission decides
	changes   changes
	mending   reconciler
	held      atomic.Pointer[map[core.Table]uint64] // the guards' revs that Shut took
	chains    chainCache
	tempDir   string
	memory    int                            // of one sorter
	refuse    func(bucket, key string) error // Config.OnWrite

	mu      sync.Mutex
	end     context.CancelFunc // of the followers; nil before Open
	working sync.WaitGroup
}

var _ core.Store = (*Store)(nil)

// New makes a Store; nothing is sent before Open.
func New(c Config) *Store {
	s := &Store{replicas: c.Replicas, nodes: c.Nodes, tempDir: c.TempDir, memory: c.SortMemory}
	s.nc, s.timeout, s.budget, s.log = c.Conn, c.Timeout, c.Budget, c.Logger
	s.setDefaults()
	node := c.Node
	if node == "" {
		node = token()
	}
	alarm := func(e *core.Error) {
		s.log.Error("the replicated store does not believe its bucket", "error", e.Text, "next", e.Next)
		if c.OnAlarm != nil {
			c.OnAlarm(e)
		}
	}
	s.refuse = c.OnWrite
	s.changes = changes{tell: c.OnChange, more: make(chan struct{}, 1)}
	changed := func(c Change) { s.mending.note(c); s.changes.add(c) }
	s.follow = map[core.Table]*follower{}
	for _, t := range core.Tables() {
		s.follow[t] = newFollower(&s.wire, t, node, changed, alarm)
	}
	s.admission = [2]*follower{s.follow[core.TableUsers], s.follow[core.TableMembers]}
	return s
}

// Open creates the five buckets or opens them, trying again within the budget:
// at a cold start nobody answers before the meta group has a leader. Buckets
// are mended where an update can do it, and refused (KindRefused) where not;
// replicas are raised and never lowered. Then it watches them, and returns when
// it has what their leaders have. A second Open changes nothing.
func (s *Store) Open(ctx context.Context) error {
	for _, f := range s.follow {
		f.want()
	}
	return s.begin(ctx, func(ctx context.Context, f *follower) error { return f.reached(ctx, f.whole) })
}

// Attend is Open for a copier: of the rows nothing is read into memory, and
// nothing of the users' methods is answered before Open.
func (s *Store) Attend(ctx context.Context) error {
	return s.begin(ctx, func(ctx context.Context, f *follower) error { return f.opened(ctx) })
}

// Make makes those buckets that are missing, with the given replicas from the
// beginning, which takes a tenth of the time of making them with one and raising
// them. It is a short cut alone: where it fails, Attend and Scale try again and say why.
func (s *Store) Make(ctx context.Context, replicas int) {
	if checkReplicas(replicas, s.nodes) != nil || s.closed.Load() {
		return
	}
	_ = eachTable(func(t core.Table) error { // of none comes an error
		_, err := s.streamInfo(ctx, t.Bucket(), attempt)
		if answered(err, codeStreamNotFound) {
			err = s.configure(ctx, "STREAM.CREATE.", bucketConfig(t.Bucket(), max(replicas, s.replicas)))
		}
		if err != nil {
			s.log.Debug("a bucket was not made at once", "bucket", t.Bucket(), "err", err)
		}
		return nil
	})
}

func (s *Store) begin(ctx context.Context, ready func(context.Context, *follower) error) error {
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
	return eachTable(func(t core.Table) error { return ready(ctx, s.follow[t]) })
}

// watch starts the followers, once; they end with Close.
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
	for _, f := range s.follow {
		s.working.Go(func() { f.run(ctx) })
	}
}

// following is the follower of a table that has its first watch.
func (s *Store) following(ctx context.Context, t core.Table) (*follower, error) {
	f := s.follow[t]
	select {
	case <-f.first:
	default:
		s.mu.Lock()
		begun := s.end != nil
		s.mu.Unlock()
		if !begun {
			return nil, core.Errorf(core.KindUnavailable, "the replicated store is not open on this node yet")
		}
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		return f, f.opened(ctx)
	}
	if broken := f.ended(); broken != nil {
		return nil, broken
	}
	return f, nil
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

// changes carries what the watches saw to OnChange, in order and without holding a watch up.
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
