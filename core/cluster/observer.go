package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
)

// Config is what an Observer needs.
type Config struct {
	Name      string   // of the observing node
	Cluster   string   // the cluster's name
	Clustered bool     // false: a node without routes; it is then described alone
	Expected  int      // how many nodes are configured, the observing one included
	Nodes     []string // their names; nil: not known

	Changes func() []core.NodeChange // which nodes commands have added and removed; counts beside Nodes alone; may be nil

	System   Requester                             // over the system account; nil: no request is sent
	Local    func() Facts                          // what the observing node knows by itself; must not block
	Infos    func(context.Context) ([]Info, error) // asks every node, the observing one included; may be nil, may return some and an error
	Recorder *Recorder                             // records the changes; may be nil
	OnView   func(View)                            // called after each observation, from the observer's goroutine; may be nil

	// Beat tells every node, this one included, that this node is up, and returns what it
	// told. nil: every observation asks every node.
	Beat func() Heartbeat

	// Streams are when the streams that are known from an earlier run were
	// created, by bucket, as Streams returned them then.
	Streams map[string]core.Millis

	// Tests may change these.
	interval time.Duration    // between two observations; 0 is 1 s
	deadline time.Duration    // of one observation; 0 is 700 ms
	lost     time.Duration    // a node that did not answer for this long is not online; 0 is 3 s
	now      func() time.Time // nil: time.Now
}

// Facts are what the observing node knows without a request.
type Facts struct {
	Serving        Serving
	Authority      *core.Authority
	Counts         *core.Counts
	CountsAt       core.Millis
	Moving         string // the state of a migration under way
	Soak           *Soak
	DuplicateNames []DuplicateName    // names under which the observing node has several routes
	Maintenance    []core.Maintenance // nodes in maintenance now, by name
	Backups        *core.BackupRecord // of scheduled backups; nil: not known yet
}

const (
	streamAccount = "CONTROL" // owns the streams

	subjectStats   = "$SYS.REQ.SERVER.PING.STATSZ"
	subjectStreams = "$SYS.REQ.SERVER.PING.JSZ"

	// stragglerWait is how long an observation waits for nodes that were silent at
	// the last one, once all others have answered.
	stragglerWait = 80 * time.Millisecond
	// nextDeadlines is how long Next waits, in deadlines of an observation. The one that runs
	// now ends first, then one more, on a machine that is busy because nodes were just lost.
	nextDeadlines = 10
	// freshFor is how old a View may be for Fresh.
	freshFor = 250 * time.Millisecond
)

// The kinds of requests. One of a kind is under way at a time.
const (
	kindStats = iota
	kindStreams
	kindInfos
	kindHeartbeat
)

// Observer observes the cluster at an interval and keeps the last View. No node
// can slow it: an answer that misses the deadline counts for the next observation.
type Observer struct {
	cfg      Config
	query    []byte // the payload of JSZ
	view     atomic.Pointer[View]
	refresh  chan struct{}
	inFlight [4]atomic.Bool // by kind of request: one is still waiting for answers

	mu         sync.Mutex
	mem        observations
	heartbeats heartbeats
	observedAt time.Time     // when the last observation that asked every node ended
	published  int           // its round
	changed    chan struct{} // closed and replaced at the end of each such observation
}

// New makes an Observer; it sends no request before Run.
func New(cfg Config) *Observer {
	setDefault(&cfg.interval, time.Second)
	setDefault(&cfg.deadline, 700*time.Millisecond)
	setDefault(&cfg.lost, 3*time.Second)
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if cfg.Local == nil {
		cfg.Local = func() Facts { return Facts{Serving: Serving{Backend: core.BackendNone}} }
	}
	query, _ := json.Marshal(map[string]any{"account": streamAccount, "streams": true, "config": true}) // a map of strings and bools cannot fail
	o := &Observer{cfg: cfg, query: query, refresh: make(chan struct{}, 1), changed: make(chan struct{})}
	o.heartbeats.last = map[string]heardHeartbeat{}
	o.mem.init(cfg)
	first := o.mem.build(cfg.Local(), cfg.now())
	o.view.Store(&first)
	return o
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Run observes until ctx ends. It is called once.
func (o *Observer) Run(ctx context.Context) {
	o.observe(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(core.UntilTick(o.cfg.interval)):
			o.observeChanges(ctx)
		case <-o.refresh:
			o.observe(ctx)
		}
	}
}

// View returns the last View without waiting. Before the first observation no node is online in it.
func (o *Observer) View() View { return *o.view.Load() }

// Streams returns the streams that the observer has seen, or knows from an earlier
// run, with the time of their first creation.
func (o *Observer) Streams() map[string]core.Millis {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.mem.identities.created)
}

// Refresh starts another observation at once. It does not wait for it.
func (o *Observer) Refresh() {
	select {
	case o.refresh <- struct{}{}:
	default:
	}
}

// Fresh returns a View that is at most 250 ms old, and waits for an observation if
// necessary. If ctx ends first, or no observation ends in time, it returns the last View.
func (o *Observer) Fresh(ctx context.Context) View {
	o.mu.Lock()
	changed, age := o.changed, o.cfg.now().Sub(o.observedAt)
	o.mu.Unlock()
	if age <= freshFor {
		return o.View()
	}
	o.Refresh()
	limit := time.NewTimer(2 * o.cfg.deadline)
	defer limit.Stop()
	select {
	case <-changed:
	case <-ctx.Done():
	case <-limit.C:
	}
	return o.View()
}

// Next returns a View of an observation that began after the call, whatever the age of the
// last one: it has what this node learned before. KindUnavailable if none ends in time.
func (o *Observer) Next(ctx context.Context) (View, error) {
	limit := time.NewTimer(nextDeadlines * o.cfg.deadline)
	defer limit.Stop()
	o.mu.Lock()
	wanted := o.mem.round + 1
	o.mu.Unlock()
	for {
		o.mu.Lock()
		changed, published := o.changed, o.published
		o.mu.Unlock()
		if published >= wanted {
			return o.View(), nil
		}
		o.Refresh()
		select {
		case <-changed:
			continue
		case <-ctx.Done():
		case <-limit.C:
		}
		return View{}, core.Errorf(core.KindUnavailable, "%s did not observe the cluster in time", o.cfg.Name).WithNext("try again in some seconds")
	}
}

// observe asks every node, waits until all have answered or the deadline, and publishes a View.
func (o *Observer) observe(ctx context.Context) {
	ctx, cancel := o.begin(ctx)
	defer cancel()
	o.beat(ctx)
	o.askAll(ctx)
}

// observeChanges asks no node where heartbeats say that nothing has changed. Otherwise it is observe.
func (o *Observer) observeChanges(ctx context.Context) {
	ctx, cancel := o.begin(ctx)
	defer cancel()
	if o.beat(ctx) && o.skip() {
		o.publish(nil)
		return
	}
	o.askAll(ctx)
}

// begin begins an observation. The context is for all of it.
func (o *Observer) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	o.mu.Lock()
	o.mem.round++
	o.mu.Unlock()
	return context.WithTimeout(ctx, o.cfg.deadline)
}

func (o *Observer) askAll(ctx context.Context) {
	before := o.beginWhole()
	infos := o.start(kindInfos, func() { o.askInfos(ctx) })
	asked := []<-chan struct{}{o.start(kindStats, func() { o.ask(ctx, subjectStats, nil, o.hearStats) })}
	if o.cfg.Clustered {
		asked = append(asked, o.start(kindStreams, func() { o.ask(ctx, subjectStreams, o.query, o.hearStreams) }))
	}
	for _, done := range asked {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	select {
	case <-infos:
	case <-ctx.Done():
	case <-time.After(stragglerWait):
	}
	o.publish(before)
}

// start runs f in a goroutine, unless the last one of its kind still runs.
func (o *Observer) start(kind int, f func()) <-chan struct{} {
	done := make(chan struct{})
	if !o.inFlight[kind].CompareAndSwap(false, true) {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		defer o.inFlight[kind].Store(false)
		f()
	}()
	return done
}

// ask sends one request to every node. It ends when all configured nodes have
// answered. Nodes that were silent at the last observation get stragglerWait after the others.
func (o *Observer) ask(ctx context.Context, subject string, payload []byte, hear func([]byte) string) {
	if o.cfg.System == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := map[string]bool{}
	var soon *time.Timer
	// An error means that no request was sent: the nodes' silence shows that already.
	_ = o.cfg.System.RequestMany(ctx, subject, payload, func(reply []byte) bool {
		if name := hear(reply); name != "" && !o.isUnknown(name) {
			heard[name] = true
		}
		if soon == nil && o.onlineHeard(heard) {
			soon = time.AfterFunc(stragglerWait, cancel)
		}
		return len(heard) < o.view.Load().Expected
	})
	if soon != nil {
		soon.Stop()
	}
}

// isUnknown is true for a server that is no node of the cluster: ask does not
// wait for it, and does not count its answer.
func (o *Observer) isUnknown(name string) bool {
	return o.cfg.members().isForeign(name) || slices.ContainsFunc(o.view.Load().Unknown, func(u UnknownServer) bool { return u.Name == name })
}

// onlineHeard is true if every node that this one heard at the last observation is in heard.
func (o *Observer) onlineHeard(heard map[string]bool) bool {
	for _, n := range o.view.Load().Nodes {
		if n.Reachable() && !heard[n.Name] {
			return false
		}
	}
	return len(heard) > 0
}

func (o *Observer) hearStats(reply []byte) string {
	a, err := decodeStats(reply)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.mem.hearMisnamed(a.Server, o.cfg.now())
		return ""
	}
	if n := o.mem.heard(a.Server, o.cfg.now()); n != nil {
		n.stats = &a
	}
	return a.Server.Name
}

func (o *Observer) hearStreams(reply []byte) string {
	a, err := decodeStreams(reply)
	if err != nil {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.mem.heard(a.Server, o.cfg.now()); n != nil {
		n.streams, n.streamsAt, n.streamsRound = &a, o.cfg.now(), o.mem.round
	}
	return a.Server.Name
}

func (o *Observer) askInfos(ctx context.Context) {
	if o.cfg.Infos == nil {
		return
	}
	infos, _ := o.cfg.Infos(ctx) // a node that did not answer keeps its last Info
	now := o.cfg.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range infos {
		o.mem.hearRun(i)
		if !o.mem.isOtherRun(i.Name, i.ID, now) {
			o.mem.hearInfo(i, now)
		}
	}
}

// publish makes a View of the observations and records what changed. before are the
// heartbeats from before every node was asked; nil: no node was.
func (o *Observer) publish(before map[string]Heartbeat) {
	facts := o.cfg.Local()
	o.mu.Lock()
	if before != nil {
		o.endWhole(before)
	}
	next := o.mem.build(facts, o.cfg.now())
	old := o.view.Swap(&next)
	if before != nil {
		o.observedAt, o.published = o.cfg.now(), o.mem.round
		close(o.changed)
		o.changed = make(chan struct{})
	}
	o.mu.Unlock()
	if o.cfg.Recorder != nil {
		o.cfg.Recorder.Record(Diff(*old, next))
	}
	if o.cfg.OnView != nil {
		o.cfg.OnView(next)
	}
}
