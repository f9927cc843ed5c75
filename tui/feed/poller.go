package feed

import (
	"context"
	"time"
)

// slowTimeout is the time for a request that waits for every node or reads a stream.
const slowTimeout = 5 * time.Second

// poller polls one topic.
type poller struct {
	trigger  chan struct{} // starts the next poll at once
	timeout  time.Duration // of one poll
	interval func() time.Duration
	poll     func(ctx context.Context)

	// A list is polled only while a page shows it. These are nil for other topics.
	shown     func(sub Subscription) bool
	freshness func(s *Snapshot) *Freshness
	extends   func(sub, old Subscription) bool // nil, or whether a list that is shown already needs more data
}

// newPollers returns the pollers in the order in which PollOnce runs them.
func (f *Feed) newPollers() []poller {
	every := func(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
	short, lists := f.cfg.Timeout, every(f.cfg.ListInterval)
	return []poller{
		{timeout: short, interval: every(f.cfg.Interval), poll: f.status},
		{timeout: short, interval: f.migrationInterval, poll: f.migration},
		{timeout: short, interval: every(f.cfg.Interval), poll: f.events},
		{
			timeout: short, interval: lists, poll: f.users,
			shown:     func(sub Subscription) bool { return sub.Users },
			freshness: func(s *Snapshot) *Freshness { return &s.Users.Freshness },
		},
		{
			timeout: short, interval: lists, poll: f.rooms,
			shown:     func(sub Subscription) bool { return sub.Rooms },
			freshness: func(s *Snapshot) *Freshness { return &s.Rooms.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.room, extends: Subscription.addsRoom,
			shown:     func(sub Subscription) bool { return sub.Room != "" },
			freshness: func(s *Snapshot) *Freshness { return &s.Room.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.rollout,
			shown:     func(sub Subscription) bool { return sub.Rollout },
			freshness: func(s *Snapshot) *Freshness { return &s.Rollout.Freshness },
		},
		{
			timeout: slowTimeout, interval: every(f.cfg.AuditInterval), poll: f.audit, extends: Subscription.addsAudit,
			shown:     func(sub Subscription) bool { return sub.Audit },
			freshness: func(s *Snapshot) *Freshness { return &s.Audit.Freshness },
		},
	}
}

func (p poller) pollNow() {
	select {
	case p.trigger <- struct{}{}:
	default: // triggered already
	}
}

// needsPoll is true if sub shows data of this list that old did not.
func (p poller) needsPoll(old, sub Subscription) bool {
	return p.shown(sub) && !p.shown(old) || p.extends != nil && p.extends(sub, old)
}

func (f *Feed) pollIfShown(ctx context.Context, p poller) {
	if p.shown == nil || p.shown(*f.subscription.Load()) {
		p.poll(ctx)
	}
}

func (f *Feed) pollLoop(ctx context.Context, p poller) {
	for {
		pollCtx, cancel := context.WithTimeout(ctx, p.timeout)
		f.pollIfShown(pollCtx, p)
		cancel()
		timer := time.NewTimer(p.interval())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.trigger:
			timer.Stop()
		case <-timer.C:
		}
	}
}
