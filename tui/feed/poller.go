package feed

import (
	"cmp"
	"context"
	"errors"
	"time"

	"unibus/core"
)

// slowTimeout is the time for a request that waits for every node, for a majority or for a stream. A node that
// waits for a majority in vain says so after 2 s.
const slowTimeout = 5 * time.Second

// A comparison reads every replica, so that it is not repeated at once.
const (
	replicasTimeout  = 5 * time.Minute
	replicasInterval = 10 * time.Second
)

// poller polls one topic.
type poller struct {
	trigger  chan struct{} // starts the next poll at once
	timeout  time.Duration // of one poll
	interval func() time.Duration
	poll     func(ctx context.Context)

	// A list is polled only while a page shows it. These are nil for other topics.
	shown     func(sub Subscription) bool
	freshness func(s *Snapshot) *Freshness
	extends   func(snap *Snapshot, old, next Subscription) bool // nil, or whether a list that is shown already needs more data
}

// newPollers returns the pollers in the order in which PollOnce runs them.
func (f *Feed) newPollers() []poller {
	every := func(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
	short, lists := f.cfg.Timeout, every(f.cfg.ListInterval)
	return []poller{
		{timeout: short, interval: every(f.cfg.Interval), poll: f.pollStatus},
		{timeout: slowTimeout, interval: f.migrationInterval, poll: f.pollMigration},
		{timeout: short, interval: every(f.cfg.Interval), poll: f.pollHistory},
		{
			timeout: slowTimeout, interval: lists, poll: f.pollUsers, extends: extendsUsers,
			shown:     func(sub Subscription) bool { return sub.Users != nil },
			freshness: func(s *Snapshot) *Freshness { return &s.Users.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.pollRooms, extends: extendsRooms,
			shown:     func(sub Subscription) bool { return sub.Rooms != nil },
			freshness: func(s *Snapshot) *Freshness { return &s.Rooms.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.pollRoom, extends: extendsRoom,
			shown:     func(sub Subscription) bool { return sub.Room != "" },
			freshness: func(s *Snapshot) *Freshness { return &s.Room.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.pollRollout,
			shown:     func(sub Subscription) bool { return sub.Rollout },
			freshness: func(s *Snapshot) *Freshness { return &s.Rollout.Freshness },
		},
		{
			timeout: slowTimeout, interval: every(f.cfg.AuditInterval), poll: f.pollAudit, extends: extendsAudit,
			shown:     func(sub Subscription) bool { return sub.Audit },
			freshness: func(s *Snapshot) *Freshness { return &s.Audit.Freshness },
		},
		{
			timeout: replicasTimeout, interval: every(replicasInterval), poll: f.pollReplicas,
			shown:     func(sub Subscription) bool { return sub.Replicas },
			freshness: func(s *Snapshot) *Freshness { return &s.Replicas.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.pollSessions, extends: extendsSessions,
			shown:     func(sub Subscription) bool { return sub.Sessions != "" },
			freshness: func(s *Snapshot) *Freshness { return &s.Sessions.Freshness },
		},
		{
			timeout: slowTimeout, interval: lists, poll: f.pollUserKey,
			shown:     func(sub Subscription) bool { return sub.UserKey != "" },
			freshness: func(s *Snapshot) *Freshness { return &s.UserKey.Freshness },
		},
		{
			timeout: short, interval: every(f.cfg.Interval), poll: f.pollRun,
			shown:     func(sub Subscription) bool { return sub.RunOf != "" },
			freshness: func(s *Snapshot) *Freshness { return &s.Run.Freshness },
			extends:   func(_ *Snapshot, old, next Subscription) bool { return next.RunOf != "" && next.RunOf != old.RunOf },
		},
		{
			timeout: short, interval: every(f.cfg.Interval), poll: f.pollTrusted,
			shown:     func(sub Subscription) bool { return sub.Trusted },
			freshness: func(s *Snapshot) *Freshness { return &s.Trusted.Freshness },
		},
	}
}

func (p poller) pollNow() {
	select {
	case p.trigger <- struct{}{}:
	default: // triggered already
	}
}

// needsPoll is true if next shows data of this list that old did not.
func (p poller) needsPoll(snap *Snapshot, old, next Subscription) bool {
	return p.shown != nil && (p.shown(next) && !p.shown(old) || p.extends != nil && p.extends(snap, old, next))
}

func (f *Feed) pollIfShown(ctx context.Context, p poller) {
	if p.shown == nil || p.shown(*f.subscription.Load()) {
		p.poll(ctx)
	}
}

func (f *Feed) pollLoop(ctx context.Context, p poller) {
	for {
		select {
		case <-p.trigger: // the poll that follows is the one it asks for
		default:
		}
		before := *f.subscription.Load()
		pollCtx, cancel := context.WithTimeout(ctx, p.timeout)
		f.pollIfShown(pollCtx, p)
		cancel()
		if p.needsPoll(f.Snapshot(), before, *f.subscription.Load()) { // the answer may have replaced what was there for the new subscription
			p.pollNow()
		}
		timer := time.NewTimer(f.untilNext(p.interval(), time.Now()))
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

// poll makes one request and stores its answer. get must return when ctx ends;
// one that does not blocks only its own topic.
func poll[T any](ctx context.Context, f *Feed, topic func(*Snapshot) *Topic[T], get func(context.Context) (T, error), onAnswer func(s *Snapshot, before, after T)) {
	if first := topic(f.Snapshot()); first.FirstPolledAt.IsZero() {
		f.publishAnswer(func(s *Snapshot) { topic(s).FirstPolledAt = f.cfg.Now() })
	}
	began := time.Now()
	v, err := get(ctx)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled):
		return // the console is closing
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = f.late(time.Since(began))
	}
	if err == nil {
		v = sanitized(v, f.cfg.Sanitize)
	}
	f.publishAnswer(func(s *Snapshot) {
		t := topic(s)
		if err != nil {
			t.Err = asCoreError(err)
			return
		}
		before := t.Value
		t.Value, t.ReceivedAt, t.Err = v, f.cfg.Now(), nil
		t.Answers++
		if onAnswer != nil {
			onAnswer(s, before, v)
		}
	})
}

// untilNext is the time to the next poll. All topics are polled at the same moment, shortly before the second
// turns: the console then draws their answers and its clock at once.
func (f *Feed) untilNext(interval time.Duration, now time.Time) time.Duration {
	if interval < time.Second {
		return interval
	}
	at := now.Add(f.lead)
	return interval - at.Sub(at.Truncate(interval))
}

// late is the error of a poll whose time is over. It has no next step: the feed polls again by itself.
func (f *Feed) late(after time.Duration) error {
	return core.Errorf(core.KindUnavailable, "no answer from %s within %d s", cmp.Or(f.cfg.Client.Connected(), "the node"), max(1, int(after.Round(time.Second).Seconds())))
}

func asCoreError(err error) *core.Error {
	if errors.Is(err, context.DeadlineExceeded) && core.KindOf(err) == core.KindFailed {
		return core.Errorf(core.KindUnavailable, "no answer in time")
	}
	return core.AsError(err)
}
