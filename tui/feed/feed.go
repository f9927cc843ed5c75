package feed

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/doctor"
	"unibus/core/migrate"
)

// Client is the part of admin.Client that the feed polls.
type Client interface {
	Status(ctx context.Context) (admin.Status, error)
	StatusOf(ctx context.Context, node string) (admin.Status, error)
	History(ctx context.Context, r admin.HistoryRequest) (admin.History, error)
	Migration(ctx context.Context) (migrate.Status, error)
	UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error)
	RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error)
	MemberPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error)
	Rollout(ctx context.Context) (admin.Rollout, error)
	Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error)
	Doctor(ctx context.Context, r admin.DoctorRequest) (doctor.Report, error)
	UserKey(ctx context.Context, id string) (core.UserKey, error)
	SessionPage(ctx context.Context, r admin.SessionPageRequest) (admin.SessionPage, error)
	TrustedCAs() *core.CABundle // nil: those of the system
	Connected() string          // the connected node, "" if none
	Server() string             // its URL
	Attempts() []admin.Attempt  // to connect, while there is no connection
}

// Config configures a Feed. Zero durations take the defaults in brackets;
// only tests set them.
type Config struct {
	Client            Client
	Now               func() time.Time         // [time.Now]
	Sanitize          func(text string) string // applied to every text of an answer [none]
	Timeout           time.Duration            // of a request to one node [2 s]
	Interval          time.Duration            // of status, events and a migration that is not running [1 s]
	MigrationInterval time.Duration            // of a running migration [250 ms]
	ListInterval      time.Duration            // of users, rooms and the rollout while a page shows them [3 s]
	AuditInterval     time.Duration            // of the audit while a page shows it [2 s]
}

// leastLead is what an answer may take to be on the screen with the second that follows.
const leastLead = 100 * time.Millisecond

// Feed polls the cluster and publishes snapshots. Create it with New, start it
// with Run.
type Feed struct {
	cfg          Config
	current      atomic.Pointer[Snapshot]
	subscription atomic.Pointer[Subscription]
	lead         time.Duration // of a poll before the second turns; consoles differ, so that nodes are not asked by all at once
	publishLock  sync.Mutex    // held while the next snapshot is built, never during a request
	pollers      []poller
}

// New creates a feed. It makes no request yet.
func New(cfg Config) *Feed {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	setDefault := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	setDefault(&cfg.Timeout, 2*time.Second)
	setDefault(&cfg.Interval, time.Second)
	setDefault(&cfg.MigrationInterval, 250*time.Millisecond)
	setDefault(&cfg.ListInterval, 3*time.Second)
	setDefault(&cfg.AuditInterval, 2*time.Second)
	f := &Feed{cfg: cfg, lead: leastLead + rand.N(leastLead)}
	f.current.Store(&Snapshot{})
	f.subscription.Store(&Subscription{})
	f.pollers = f.newPollers()
	for i := range f.pollers {
		f.pollers[i].trigger = make(chan struct{}, 1)
	}
	return f
}

// Snapshot returns the newest snapshot. It never blocks.
func (f *Feed) Snapshot() *Snapshot { return f.current.Load() }

// PollNow polls every topic at once, after an action changed the cluster.
func (f *Feed) PollNow() {
	for _, p := range f.pollers {
		p.pollNow()
	}
}

// Subscribe sets the lists that the current page shows, and polls the new ones at
// once. It never blocks.
func (f *Feed) Subscribe(next Subscription) {
	old := *f.subscription.Swap(&next)
	f.markViewed(old, next)
	snap := f.Snapshot()
	for _, p := range f.pollers {
		if p.needsPoll(snap, old, next) {
			p.pollNow()
		}
	}
}

// ShowsMore is true if next shows a list that is not polled for old. More of a list that is polled is not.
func (f *Feed) ShowsMore(old, next Subscription) bool {
	return slices.ContainsFunc(f.pollers, func(p poller) bool { return p.shown != nil && p.shown(next) && !p.shown(old) })
}

// markViewed records since when each list is shown.
func (f *Feed) markViewed(old, next Subscription) {
	now := f.cfg.Now()
	var opened []poller
	for _, p := range f.pollers {
		if p.shown != nil && p.shown(next) && !p.shown(old) {
			opened = append(opened, p)
		}
	}
	if len(opened) == 0 {
		return
	}
	f.publish(func(s *Snapshot) {
		for _, p := range opened {
			p.freshness(s).ViewedSince = now
		}
	})
}

// Run polls until ctx ends. It abandons requests that outlive ctx, because a
// stuck node must not keep the console open.
func (f *Feed) Run(ctx context.Context) {
	for _, p := range f.pollers {
		go f.pollLoop(ctx, p)
	}
	<-ctx.Done()
}

// PollOnce polls every topic once, in order, and returns the snapshot.
func (f *Feed) PollOnce(ctx context.Context) *Snapshot {
	for _, p := range f.pollers {
		f.pollIfShown(ctx, p)
	}
	return f.Snapshot()
}

func (f *Feed) migrationInterval() time.Duration {
	m := f.Snapshot().Migration
	if m.Err == nil && m.Value.Running && !m.Value.Paused {
		return f.cfg.MigrationInterval
	}
	return f.cfg.Interval
}

// publish builds the next snapshot from the last. It makes no request, because
// drawing waits for it.
func (f *Feed) publish(edit func(s *Snapshot)) {
	f.publishLock.Lock()
	defer f.publishLock.Unlock()
	next := *f.current.Load()
	edit(&next)
	next.Version++
	f.current.Store(&next)
}

// publishAnswer is publish with the connected node and server. Reading those may
// take seconds during a reconnect, so it happens before the lock.
func (f *Feed) publishAnswer(edit func(s *Snapshot)) {
	node, server := f.cfg.Client.Connected(), f.cfg.Client.Server()
	attempts := sanitized(f.cfg.Client.Attempts(), f.cfg.Sanitize)
	f.publish(func(s *Snapshot) {
		s.Node, s.Server, s.Attempts = node, server, attempts
		edit(s)
	})
}
