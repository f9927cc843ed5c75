package feed

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

// Source is the part of admin.Client that the feed polls.
type Source interface {
	Status(ctx context.Context) (admin.Status, error)
	Events(ctx context.Context, r admin.EventsRequest) (admin.Events, error)
	Migration(ctx context.Context) (migrate.Status, error)
	Users(ctx context.Context) ([]core.User, error)
	Rooms(ctx context.Context) ([]admin.RoomSummary, error)
	RoomPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error)
	Rollout(ctx context.Context) (admin.Rollout, error)
	Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error)
	Connected() string // the connected node, "" if none
	Server() string    // its URL
}

// Config configures a Feed. Zero durations take the defaults in brackets.
type Config struct {
	Source            Source
	Now               func() time.Time         // [time.Now]
	Sanitize          func(text string) string // applied to every text of an answer [none]
	Timeout           time.Duration            // of a request to one node [2 s]
	SlowTimeout       time.Duration            // of a request that waits for every node or reads a stream [5 s]
	Interval          time.Duration            // of status, events and a migration that is not running [1 s]
	MigrationInterval time.Duration            // of a running migration [250 ms]
	ListInterval      time.Duration            // of users, rooms and the rollout while a page shows them [3 s]
	AuditInterval     time.Duration            // of the audit while a page shows it [2 s]
}

// Feed polls the cluster and publishes snapshots. Create it with New, start it
// with Run.
type Feed struct {
	cfg          Config
	current      atomic.Pointer[Snapshot]
	subscription atomic.Pointer[Subscription]
	publishLock  sync.Mutex       // held while the next snapshot is built, never during a request
	triggers     []chan struct{}  // each starts the next poll of a topic at once
	listTriggers [5]chan struct{} // the triggers of users, rooms, room, rollout, audit

	// The goroutine that reads events owns these.
	lastSeq          uint64 // of the last event
	eventNode        string // the node that counted it
	eventNodeStarted core.Millis
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
	setDefault(&cfg.SlowTimeout, 5*time.Second)
	setDefault(&cfg.Interval, time.Second)
	setDefault(&cfg.MigrationInterval, 250*time.Millisecond)
	setDefault(&cfg.ListInterval, 3*time.Second)
	setDefault(&cfg.AuditInterval, 2*time.Second)
	f := &Feed{cfg: cfg}
	f.current.Store(&Snapshot{})
	f.subscription.Store(&Subscription{})
	for range 3 + len(f.listTriggers) {
		f.triggers = append(f.triggers, make(chan struct{}, 1))
	}
	copy(f.listTriggers[:], f.triggers[3:])
	return f
}

// Snapshot returns the newest snapshot. It never blocks.
func (f *Feed) Snapshot() *Snapshot { return f.current.Load() }

// PollNow polls every topic at once, after an action changed the cluster.
func (f *Feed) PollNow() {
	for _, k := range f.triggers {
		trigger(k)
	}
}

func trigger(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Subscribe sets the lists that the current page shows, and polls the new ones at
// once. It never blocks.
func (f *Feed) Subscribe(sub Subscription) {
	old := f.subscription.Swap(&sub)
	f.markViewed(*old, sub)
	if sub.Users && !old.Users {
		trigger(f.listTriggers[0])
	}
	if sub.Rooms && !old.Rooms {
		trigger(f.listTriggers[1])
	}
	if sub.addsRoom(*old) {
		trigger(f.listTriggers[2])
	}
	if sub.Rollout && !old.Rollout {
		trigger(f.listTriggers[3])
	}
	if sub.addsAudit(*old) {
		trigger(f.listTriggers[4])
	}
}

// markViewed records since when each list is shown.
func (f *Feed) markViewed(old, sub Subscription) {
	now := f.cfg.Now()
	var edits []func(*Snapshot)
	mark := func(before, after bool, edit func(*Snapshot)) {
		if after && !before {
			edits = append(edits, edit)
		}
	}
	mark(old.Users, sub.Users, func(s *Snapshot) { s.Users.ViewedSince = now })
	mark(old.Rooms, sub.Rooms, func(s *Snapshot) { s.Rooms.ViewedSince = now })
	mark(old.Room != "", sub.Room != "", func(s *Snapshot) { s.Room.ViewedSince = now })
	mark(old.Rollout, sub.Rollout, func(s *Snapshot) { s.Rollout.ViewedSince = now })
	mark(old.Audit, sub.Audit, func(s *Snapshot) { s.Audit.ViewedSince = now })
	if len(edits) == 0 {
		return
	}
	f.publish(func(s *Snapshot) {
		for _, edit := range edits {
			edit(s)
		}
	})
}

// Run polls until ctx ends. It abandons requests that outlive ctx, because a
// stuck node must not keep the console open.
func (f *Feed) Run(ctx context.Context) {
	every := func(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
	go f.pollLoop(ctx, f.triggers[0], f.cfg.Timeout, every(f.cfg.Interval), f.status)
	go f.pollLoop(ctx, f.triggers[1], f.cfg.Timeout, f.migrationInterval, f.migration)
	go f.pollLoop(ctx, f.triggers[2], f.cfg.Timeout, every(f.cfg.Interval), f.events)
	go f.pollLoop(ctx, f.listTriggers[0], f.cfg.Timeout, every(f.cfg.ListInterval), f.users)
	go f.pollLoop(ctx, f.listTriggers[1], f.cfg.Timeout, every(f.cfg.ListInterval), f.rooms)
	go f.pollLoop(ctx, f.listTriggers[2], f.cfg.SlowTimeout, every(f.cfg.ListInterval), f.room)
	go f.pollLoop(ctx, f.listTriggers[3], f.cfg.SlowTimeout, every(f.cfg.ListInterval), f.rollout)
	go f.pollLoop(ctx, f.listTriggers[4], f.cfg.SlowTimeout, every(f.cfg.AuditInterval), f.audit)
	<-ctx.Done()
}

// PollOnce polls every topic once, in order, and returns the snapshot.
func (f *Feed) PollOnce(ctx context.Context) *Snapshot {
	for _, pollTopic := range []func(context.Context){f.status, f.migration, f.events, f.users, f.rooms, f.room, f.rollout, f.audit} {
		pollTopic(ctx)
	}
	return f.Snapshot()
}

func (f *Feed) pollLoop(ctx context.Context, triggered chan struct{}, timeout time.Duration, interval func() time.Duration, pollTopic func(context.Context)) {
	for {
		callCtx, cancel := context.WithTimeout(ctx, timeout)
		pollTopic(callCtx)
		cancel()
		t := time.NewTimer(interval())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-triggered:
			t.Stop()
		case <-t.C:
		}
	}
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
	node, server := f.cfg.Source.Connected(), f.cfg.Source.Server()
	f.publish(func(s *Snapshot) {
		s.Node, s.Server = node, server
		edit(s)
	})
}
