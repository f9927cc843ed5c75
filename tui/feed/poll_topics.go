package feed

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

// room asks for the room that is looked at, with as many pages of its members as
// somebody has come to: all of them are asked for again each time, because who is
// revoked or has a key changes in the middle.
func (f *Feed) room(ctx context.Context) {
	w := f.want.Load()
	if w.Room == "" {
		return
	}
	if f.Now().RoomID != w.Room {
		f.change(func(s *Snapshot) {
			s.RoomID, s.Room = w.Room, Topic[admin.RoomDetail]{Freshness: Freshness{N: s.Room.N + 1}}
		}) // N never comes back, or one room's people would pass for another's
	}
	ask(ctx, f, func(s *Snapshot) *Topic[admin.RoomDetail] { return &s.Room },
		func(ctx context.Context) (admin.RoomDetail, error) {
			d, err := f.cfg.Source.RoomPage(ctx, admin.RoomRequest{ID: w.Room})
			for n := 1; err == nil && n < w.RoomPages && d.Next != ""; n++ {
				var more admin.RoomDetail
				if more, err = f.cfg.Source.RoomPage(ctx, admin.RoomRequest{ID: w.Room, After: d.Next}); err == nil {
					d = d.With(more)
				}
			}
			return d, err
		}, nil)
}

// ask runs one request and files its answer. get must return when ctx ends; one
// that does not costs its topic alone.
func ask[T any](ctx context.Context, f *Feed, at func(*Snapshot) *Topic[T], get func(context.Context) (T, error), then func(s *Snapshot, was, is T)) {
	if first := at(f.Now()); first.Asked.IsZero() {
		f.learn(func(s *Snapshot) { at(s).Asked = f.cfg.Now() })
	}
	v, err := get(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return // the console is closing
	}
	if err == nil {
		v = cleaned(v, f.cfg.Clean)
	}
	f.learn(func(s *Snapshot) {
		t := at(s)
		if err != nil {
			t.Err = explain(err)
			if t.Since.IsZero() {
				t.Since = f.cfg.Now()
			}
			return
		}
		was := t.Value
		t.Value, t.At, t.Err, t.Since = v, f.cfg.Now(), nil, time.Time{}
		t.N++
		if then != nil {
			then(s, was, v)
		}
	})
}

func explain(err error) *core.Error {
	if errors.Is(err, context.DeadlineExceeded) && core.KindOf(err) == core.KindFailed {
		return core.Errorf(core.KindUnavailable, "no answer in time")
	}
	return core.AsError(err)
}

func (f *Feed) status(ctx context.Context) {
	ask(ctx, f, func(s *Snapshot) *Topic[admin.Status] { return &s.Status }, f.cfg.Source.Status,
		func(s *Snapshot, was, is admin.Status) {
			kept := s.Samples[max(0, len(s.Samples)-MaxSamples+1):]
			s.Samples = append(append([]Sample(nil), kept...), sample(was, is))
		})
}

func (f *Feed) migration(ctx context.Context) {
	ask(ctx, f, func(s *Snapshot) *Topic[migrate.Status] { return &s.Migration }, f.cfg.Source.Migration, nil)
}

func (f *Feed) users(ctx context.Context) {
	if f.want.Load().Users {
		ask(ctx, f, func(s *Snapshot) *Topic[[]core.User] { return &s.Users }, f.cfg.Source.Users, nil)
	}
}

func (f *Feed) rooms(ctx context.Context) {
	if f.want.Load().Rooms {
		ask(ctx, f, func(s *Snapshot) *Topic[[]admin.RoomSummary] { return &s.Rooms }, f.cfg.Source.Rooms, nil)
	}
}

func (f *Feed) rollout(ctx context.Context) {
	if f.want.Load().Rollout {
		ask(ctx, f, func(s *Snapshot) *Topic[admin.Rollout] { return &s.Rollout }, f.cfg.Source.Rollout, nil)
	}
}

// audit asks for the newest page each time: the outcome of an action comes after
// its record. Older pages are asked for once, when somebody has come to them.
func (f *Feed) audit(ctx context.Context) {
	w := f.want.Load()
	if !w.Audit {
		return
	}
	ask(ctx, f, func(s *Snapshot) *Topic[AuditLog] { return &s.Audit },
		func(ctx context.Context) (AuditLog, error) {
			newest, err := f.cfg.Source.Audit(ctx, admin.AuditRequest{Limit: auditPage})
			if err != nil {
				return AuditLog{}, err
			}
			log := f.Now().Audit.Value.renew(newest)
			if log.Next == 0 || log.Next != w.AuditBefore || len(log.Records) >= MaxAudit {
				return log, nil
			}
			older, err := f.cfg.Source.Audit(ctx, admin.AuditRequest{Before: log.Next, Limit: auditPage})
			if err != nil {
				return AuditLog{}, err
			}
			return log.further(older), nil
		}, nil)
}
