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

// Source is what the feed asks of the operators' client.
type Source interface {
	Status(ctx context.Context) (admin.Status, error)
	Events(ctx context.Context, r admin.EventsRequest) (admin.Events, error)
	Migration(ctx context.Context) (migrate.Status, error)
	Users(ctx context.Context) ([]core.User, error)
	Rooms(ctx context.Context) ([]admin.RoomSummary, error)
	RoomPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error)
	Rollout(ctx context.Context) (admin.Rollout, error)
	Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error)
	Connected() string // the node it talks to, "" while none
	Server() string    // its URL
}

// Config is what a Feed needs. Zero durations take the defaults in brackets.
type Config struct {
	Source  Source
	Now     func() time.Time         // [time.Now]
	Clean   func(text string) string // what every text of an answer goes through [left as it is]
	Timeout time.Duration            // of one request [2 s]
	Slow    time.Duration            // of one that waits for every node, or reads a stream [5 s]
	Every   time.Duration            // status, events and a resting migration [1 s]
	Moving  time.Duration            // a migration under way [250 ms]
	Lists   time.Duration            // users, rooms and the rollout while somebody looks [3 s]
	Audit   time.Duration            // the audit while somebody looks [2 s]
}

// Feed gathers snapshots. Make it with New, start it with Run.
type Feed struct {
	cfg   Config
	now   atomic.Pointer[Snapshot]
	want  atomic.Pointer[Want]
	mu    sync.Mutex // held while the next snapshot is made, never while something is asked
	kicks []chan struct{}
	lists [5]chan struct{} // users, rooms, room, rollout, audit

	// Of the goroutine that reads events alone.
	seq     uint64 // of the last event
	from    string // the node that counted it
	started core.Millis
}

// New makes a feed; it asks nothing yet.
func New(cfg Config) *Feed {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Timeout, 2*time.Second)
	def(&cfg.Slow, 5*time.Second)
	def(&cfg.Every, time.Second)
	def(&cfg.Moving, 250*time.Millisecond)
	def(&cfg.Lists, 3*time.Second)
	def(&cfg.Audit, 2*time.Second)
	f := &Feed{cfg: cfg}
	f.now.Store(&Snapshot{})
	f.want.Store(&Want{})
	for range 3 + len(f.lists) {
		f.kicks = append(f.kicks, make(chan struct{}, 1))
	}
	copy(f.lists[:], f.kicks[3:])
	return f
}

// Now is the newest snapshot. It never waits.
func (f *Feed) Now() *Snapshot { return f.now.Load() }

// Refresh asks for everything at once, after something was done.
func (f *Feed) Refresh() {
	for _, k := range f.kicks {
		kick(k)
	}
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Look says what somebody is looking at now; what is new is asked for at once. It never waits.
func (f *Feed) Look(w Want) {
	old := f.want.Swap(&w)
	f.begin(*old, w)
	if w.Users && !old.Users {
		kick(f.lists[0])
	}
	if w.Rooms && !old.Rooms {
		kick(f.lists[1])
	}
	if w.newRoom(*old) {
		kick(f.lists[2])
	}
	if w.Rollout && !old.Rollout {
		kick(f.lists[3])
	}
	if w.newAudit(*old) {
		kick(f.lists[4])
	}
}

// begin notes since when each list is looked at.
func (f *Feed) begin(old, w Want) {
	now := f.cfg.Now()
	var edits []func(*Snapshot)
	note := func(was, is bool, edit func(*Snapshot)) {
		if is && !was {
			edits = append(edits, edit)
		}
	}
	note(old.Users, w.Users, func(s *Snapshot) { s.Users.Again = now })
	note(old.Rooms, w.Rooms, func(s *Snapshot) { s.Rooms.Again = now })
	note(old.Room != "", w.Room != "", func(s *Snapshot) { s.Room.Again = now })
	note(old.Rollout, w.Rollout, func(s *Snapshot) { s.Rollout.Again = now })
	note(old.Audit, w.Audit, func(s *Snapshot) { s.Audit.Again = now })
	if len(edits) == 0 {
		return
	}
	f.change(func(s *Snapshot) {
		for _, edit := range edits {
			edit(s)
		}
	})
}

// Run asks until ctx ends. A request that outlives ctx is left behind: a stuck
// node must not keep a console from closing.
func (f *Feed) Run(ctx context.Context) {
	every := func(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
	go f.loop(ctx, f.kicks[0], f.cfg.Timeout, every(f.cfg.Every), f.status)
	go f.loop(ctx, f.kicks[1], f.cfg.Timeout, f.migrationPace, f.migration)
	go f.loop(ctx, f.kicks[2], f.cfg.Timeout, every(f.cfg.Every), f.events)
	go f.loop(ctx, f.lists[0], f.cfg.Timeout, every(f.cfg.Lists), f.users)
	go f.loop(ctx, f.lists[1], f.cfg.Timeout, every(f.cfg.Lists), f.rooms)
	go f.loop(ctx, f.lists[2], f.cfg.Slow, every(f.cfg.Lists), f.room)
	go f.loop(ctx, f.lists[3], f.cfg.Slow, every(f.cfg.Lists), f.rollout)
	go f.loop(ctx, f.lists[4], f.cfg.Slow, every(f.cfg.Audit), f.audit)
	<-ctx.Done()
}

// Once asks for everything one time, in order, and returns the snapshot.
func (f *Feed) Once(ctx context.Context) *Snapshot {
	for _, ask := range []func(context.Context){f.status, f.migration, f.events, f.users, f.rooms, f.room, f.rollout, f.audit} {
		ask(ctx)
	}
	return f.Now()
}

func (f *Feed) loop(ctx context.Context, now chan struct{}, within time.Duration, pace func() time.Duration, ask func(context.Context)) {
	for {
		call, cancel := context.WithTimeout(ctx, within)
		ask(call)
		cancel()
		t := time.NewTimer(pace())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-now:
			t.Stop()
		case <-t.C:
		}
	}
}

func (f *Feed) migrationPace() time.Duration {
	m := f.Now().Migration
	if m.Err == nil && m.Value.Running && !m.Value.Paused {
		return f.cfg.Moving
	}
	return f.cfg.Every
}

// change makes the next snapshot out of the last. It never asks the source
// anything: whoever draws waits for it.
func (f *Feed) change(edit func(s *Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.now.Load()
	edit(&next)
	next.Version++
	f.now.Store(&next)
}

// learn is change for what was heard: it notes too who is talked to now. While a
// connection is being made anew that alone may take seconds.
func (f *Feed) learn(edit func(s *Snapshot)) {
	node, server := f.cfg.Source.Connected(), f.cfg.Source.Server()
	f.change(func(s *Snapshot) {
		s.Node, s.Server = node, server
		edit(s)
	})
}
