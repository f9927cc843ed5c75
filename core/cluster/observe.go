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

// Config is what an Observer needs to know and whom it may ask.
type Config struct {
	Name      string   // of the looking node
	Cluster   string   // the cluster's name
	Clustered bool     // false: a node without routes; it is then described alone
	Expected  int      // how many nodes are configured, the looking one included
	Nodes     []string // their names; nil: not known
	Account   string   // whose streams are looked at; "" is CONTROL

	System   Requester                             // over the system account; nil: nobody is asked
	Local    func() Facts                          // what the looking node knows by itself; must not block
	Infos    func(context.Context) ([]Info, error) // asks every node, the looking one included; may be nil, may give some and an error
	Recorder *Recorder                             // where the changes are noted; nil: nowhere
	OnView   func(View)                            // called after each look, from the observer's goroutine; may be nil

	// Streams are when the streams that are known from an earlier run were
	// created, by bucket, as Streams returned them then.
	Streams map[string]core.Millis

	Interval time.Duration // between two looks; 0 is 1 s
	Deadline time.Duration // of one look; 0 is 700 ms
	Lost     time.Duration // a node that was silent for so long is not online; 0 is 3 s
	Now      func() time.Time
}

// Facts are what the looking node knows without asking anybody.
type Facts struct {
	Serving   Serving
	Authority *core.Authority
	Counts    *core.Counts
	CountsAt  core.Millis
	Moving    string // the state of a migration under way
}

const (
	subjectStats   = "$SYS.REQ.SERVER.PING.STATSZ"
	subjectStreams = "$SYS.REQ.SERVER.PING.JSZ"

	// grace is how long a look waits for nodes that were away once all the others have answered.
	grace = 80 * time.Millisecond
	// fresh is how old a View may be for Fresh.
	fresh = 250 * time.Millisecond
)

// Observer looks at the cluster again and again and keeps what it saw last.
// No node can slow it: what has not come at the deadline counts next time.
type Observer struct {
	cfg   Config
	query []byte // the payload of JSZ
	view  atomic.Pointer[View]
	poke  chan struct{}
	busy  [3]atomic.Bool // a question of that sort is still on its way

	mu      sync.Mutex
	mem     memory
	looked  time.Time     // when the last look ended
	changed chan struct{} // closed at the end of a look, and made anew
}

// New makes an Observer; it asks nobody before Run.
func New(cfg Config) *Observer {
	setDefault(&cfg.Interval, time.Second)
	setDefault(&cfg.Deadline, 700*time.Millisecond)
	setDefault(&cfg.Lost, 3*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Account == "" {
		cfg.Account = "CONTROL"
	}
	if cfg.Local == nil {
		cfg.Local = func() Facts { return Facts{Serving: Serving{Backend: core.BackendNone}} }
	}
	query, _ := json.Marshal(map[string]any{"account": cfg.Account, "streams": true, "config": true}) // a map of strings and bools cannot fail
	o := &Observer{cfg: cfg, query: query, poke: make(chan struct{}, 1), changed: make(chan struct{})}
	o.mem.init(cfg)
	first := o.mem.build(cfg.Local(), cfg.Now())
	o.view.Store(&first)
	return o
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Run looks until ctx ends. It is called once.
func (o *Observer) Run(ctx context.Context) {
	tick := time.NewTicker(o.cfg.Interval)
	defer tick.Stop()
	for {
		o.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-o.poke:
		}
	}
}

// View is what was seen last. It never waits. Before the first look it shows nobody online.
func (o *Observer) View() View { return *o.view.Load() }

// Streams are the streams that the observer has seen, or knows from an earlier
// run, with the time of their first creation.
func (o *Observer) Streams() map[string]core.Millis {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.mem.identities.created)
}

// Poke asks for another look at once. It never waits.
func (o *Observer) Poke() {
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

// Fresh returns a View at most 250 ms old, waiting for a look where there is
// none. When ctx ends first, or no look ends in time, it is the last one there is.
func (o *Observer) Fresh(ctx context.Context) View {
	o.mu.Lock()
	changed, age := o.changed, o.cfg.Now().Sub(o.looked)
	o.mu.Unlock()
	if age <= fresh {
		return o.View()
	}
	o.Poke()
	limit := time.NewTimer(2 * o.cfg.Deadline)
	defer limit.Stop()
	select {
	case <-changed:
	case <-ctx.Done():
	case <-limit.C:
	}
	return o.View()
}

// look asks everybody, waits until all have answered or the deadline, and publishes what is known then.
func (o *Observer) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Deadline)
	defer cancel()
	o.mu.Lock()
	o.mem.round++
	o.mu.Unlock()
	infos := o.start(2, func() { o.askInfos(ctx) })
	asked := []<-chan struct{}{o.start(0, func() { o.ask(ctx, subjectStats, nil, o.hearStats) })}
	if o.cfg.Clustered {
		asked = append(asked, o.start(1, func() { o.ask(ctx, subjectStreams, o.query, o.hearStreams) }))
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
	case <-time.After(grace):
	}
	o.publish()
}

// start runs f beside the caller, unless the last one of its sort has not come back.
func (o *Observer) start(sort int, f func()) <-chan struct{} {
	done := make(chan struct{})
	if !o.busy[sort].CompareAndSwap(false, true) {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		defer o.busy[sort].Store(false)
		f()
	}()
	return done
}

// ask puts one question to every node. It ends when all that are configured
// have answered; where only those are silent that were away before, a moment after the others.
func (o *Observer) ask(ctx context.Context, subject string, payload []byte, hear func([]byte) string) {
	if o.cfg.System == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := map[string]bool{}
	var soon *time.Timer
	// An error says that nobody could be asked: the nodes' silence shows that already.
	_ = o.cfg.System.RequestMany(ctx, subject, payload, func(reply []byte) bool {
		if name := hear(reply); name != "" && !o.isUnknown(name) {
			heard[name] = true
		}
		if soon == nil && o.onlineHeard(heard) {
			soon = time.AfterFunc(grace, cancel)
		}
		return len(heard) < o.cfg.Expected
	})
	if soon != nil {
		soon.Stop()
	}
}

// isUnknown is true for a server that is no node: nobody waits for it, and its
// answer takes the place of none.
func (o *Observer) isUnknown(name string) bool {
	listed := len(o.cfg.Nodes) == 0 || slices.Contains(o.cfg.Nodes, name)
	return !listed || slices.ContainsFunc(o.view.Load().Unknown, func(u UnknownServer) bool { return u.Name == name })
}

// onlineHeard is true where every node that was online at the last look is among heard.
func (o *Observer) onlineHeard(heard map[string]bool) bool {
	for _, n := range o.view.Load().Nodes {
		if n.Online && !heard[n.Name] {
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
		o.mem.hearMisnamed(a.Server, o.cfg.Now())
		return ""
	}
	if n := o.mem.heard(a.Server, o.cfg.Now()); n != nil {
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
	if n := o.mem.heard(a.Server, o.cfg.Now()); n != nil {
		n.streams, n.streamsAt, n.streamsRound = &a, o.cfg.Now(), o.mem.round
	}
	return a.Server.Name
}

func (o *Observer) askInfos(ctx context.Context) {
	if o.cfg.Infos == nil {
		return
	}
	infos, _ := o.cfg.Infos(ctx) // those who did not answer keep the Info they gave before
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range infos {
		if n := o.mem.node(i.Name); n != nil {
			n.info = &i
		}
	}
}

// publish makes a View of what is remembered and notes what changed.
func (o *Observer) publish() {
	facts := o.cfg.Local()
	o.mu.Lock()
	next := o.mem.build(facts, o.cfg.Now())
	old := o.view.Swap(&next)
	o.looked = o.cfg.Now()
	close(o.changed)
	o.changed = make(chan struct{})
	o.mu.Unlock()
	if o.cfg.Recorder != nil {
		o.cfg.Recorder.Record(Diff(*old, next))
	}
	if o.cfg.OnView != nil {
		o.cfg.OnView(next)
	}
}
