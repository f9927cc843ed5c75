package feed

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

// room requests the open room with as many pages of members as the operator has
// scrolled to. It requests all of them each time, because any member's status or
// key may change.
func (f *Feed) room(ctx context.Context) {
	sub := f.subscription.Load()
	if sub.Room == "" { // closed a moment ago
		return
	}
	if f.Snapshot().RoomID != sub.Room {
		f.publish(func(s *Snapshot) {
			s.RoomID, s.Room = sub.Room, Topic[admin.RoomDetail]{Freshness: Freshness{Answers: s.Room.Answers + 1}}
		}) // Answers must not repeat, or cached rows of one room would be shown for another
	}
	poll(ctx, f, func(s *Snapshot) *Topic[admin.RoomDetail] { return &s.Room },
		func(ctx context.Context) (admin.RoomDetail, error) {
			d, err := f.cfg.Source.RoomPage(ctx, admin.RoomRequest{ID: sub.Room})
			for n := 1; err == nil && n < sub.RoomPages && d.Next != ""; n++ {
				var more admin.RoomDetail
				if more, err = f.cfg.Source.RoomPage(ctx, admin.RoomRequest{ID: sub.Room, After: d.Next}); err == nil {
					d = d.With(more)
				}
			}
			return d, err
		}, nil)
}

// poll makes one request and stores its answer. get must return when ctx ends;
// one that does not blocks only its own topic.
func poll[T any](ctx context.Context, f *Feed, topic func(*Snapshot) *Topic[T], get func(context.Context) (T, error), onAnswer func(s *Snapshot, before, after T)) {
	if first := topic(f.Snapshot()); first.FirstPolledAt.IsZero() {
		f.publishAnswer(func(s *Snapshot) { topic(s).FirstPolledAt = f.cfg.Now() })
	}
	v, err := get(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return // the console is closing
	}
	if err == nil {
		v = sanitized(v, f.cfg.Sanitize)
	}
	f.publishAnswer(func(s *Snapshot) {
		t := topic(s)
		if err != nil {
			t.Err = asCoreError(err)
			if t.FailingSince.IsZero() {
				t.FailingSince = f.cfg.Now()
			}
			return
		}
		before := t.Value
		t.Value, t.ReceivedAt, t.Err, t.FailingSince = v, f.cfg.Now(), nil, time.Time{}
		t.Answers++
		if onAnswer != nil {
			onAnswer(s, before, v)
		}
	})
}

func asCoreError(err error) *core.Error {
	if errors.Is(err, context.DeadlineExceeded) && core.KindOf(err) == core.KindFailed {
		return core.Errorf(core.KindUnavailable, "no answer in time")
	}
	return core.AsError(err)
}

func (f *Feed) status(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[admin.Status] { return &s.Status }, f.cfg.Source.Status,
		func(s *Snapshot, before, after admin.Status) {
			kept := s.Samples[max(0, len(s.Samples)-maxSamples+1):]
			s.Samples = append(append([]Sample(nil), kept...), sample(before, after))
		})
}

func (f *Feed) migration(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[migrate.Status] { return &s.Migration }, f.cfg.Source.Migration, nil)
}

func (f *Feed) users(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[[]core.User] { return &s.Users }, f.cfg.Source.Users, nil)
}

func (f *Feed) rooms(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[[]admin.RoomSummary] { return &s.Rooms }, f.cfg.Source.Rooms, nil)
}

func (f *Feed) rollout(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[admin.Rollout] { return &s.Rollout }, f.cfg.Source.Rollout, nil)
}

// audit requests the newest page each time, because an action's outcome follows
// its record. It requests older pages once, when the operator scrolls to them.
func (f *Feed) audit(ctx context.Context) {
	sub := f.subscription.Load()
	poll(ctx, f, func(s *Snapshot) *Topic[AuditLog] { return &s.Audit },
		func(ctx context.Context) (AuditLog, error) {
			newest, err := f.cfg.Source.Audit(ctx, admin.AuditRequest{Limit: auditPageSize})
			if err != nil {
				return AuditLog{}, err
			}
			log := f.Snapshot().Audit.Value.prependNewest(newest)
			if log.Next == 0 || log.Next != sub.AuditBefore || len(log.Records) >= MaxAudit {
				return log, nil
			}
			older, err := f.cfg.Source.Audit(ctx, admin.AuditRequest{Before: log.Next, Limit: auditPageSize})
			if err != nil {
				return AuditLog{}, err
			}
			return log.appendOlder(older), nil
		}, nil)
}
