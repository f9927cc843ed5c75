package feed

import (
	"context"
	"iter"
	"maps"
	"slices"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/guide"
	"unibus/core/migrate"
)

// pollRoom requests the open room with as many pages of members as the operator has
// scrolled to. It requests all of them each time, because any member's status or
// key may change.
func (f *Feed) pollRoom(ctx context.Context) {
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
			d, err := f.cfg.Client.MemberPage(ctx, admin.RoomRequest{ID: sub.Room})
			for n := 1; err == nil && n < sub.RoomPages && d.Next != ""; n++ {
				var more admin.RoomDetail
				if more, err = f.cfg.Client.MemberPage(ctx, admin.RoomRequest{ID: sub.Room, After: d.Next}); err == nil {
					d = d.With(more)
				}
			}
			return d, err
		}, nil)
}

func (f *Feed) pollStatus(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[admin.Status] { return &s.Status }, f.cfg.Client.Status,
		func(s *Snapshot, before, after admin.Status) {
			kept := s.Samples[max(0, len(s.Samples)-maxSamples+1):]
			s.Samples = append(append([]Sample(nil), kept...), sample(before, after))
			s.Leaders = leadersOf(s.Leaders, after)
		})
}

func (f *Feed) pollMigration(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[migrate.Status] { return &s.Migration }, f.cfg.Client.Migration, nil)
}

// pollHistory requests what happened since the last answer.
func (f *Feed) pollHistory(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[History] { return &s.History }, f.fetchHistory, nil)
}

// pollUsers requests the window that the page shows.
func (f *Feed) pollUsers(ctx context.Context) {
	sub := *f.subscription.Load()
	if sub.Users == nil { // the page was left a moment ago
		return
	}
	poll(ctx, f, func(s *Snapshot) *Topic[core.UserPage] { return &s.Users },
		func(ctx context.Context) (core.UserPage, error) { return f.fetchUsers(ctx, sub.Users.UserPageRequest) },
		func(s *Snapshot, _, _ core.UserPage) { s.UsersRequest = sub.Users.UserPageRequest })
}

// fetchUsers goes on where a node ended a page before its limit, because it grew too large.
func (f *Feed) fetchUsers(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	return joinPages(admin.UserPages(ctx, f.cfg.Client.UserPage, r), func(all *core.UserPage, next core.UserPage) {
		all.Users, all.Next = slices.Concat(all.Users, next.Users), next.Next
		if all.Seen != nil {
			all.Seen = maps.Clone(all.Seen)
			maps.Copy(all.Seen, next.Seen)
		}
	})
}

// pollRooms requests the window that the page shows.
func (f *Feed) pollRooms(ctx context.Context) {
	sub := *f.subscription.Load()
	if sub.Rooms == nil { // the page was left a moment ago
		return
	}
	poll(ctx, f, func(s *Snapshot) *Topic[admin.RoomPage] { return &s.Rooms },
		func(ctx context.Context) (admin.RoomPage, error) { return f.fetchRooms(ctx, sub.Rooms.RoomPageRequest) },
		func(s *Snapshot, _, _ admin.RoomPage) { s.RoomsRequest = sub.Rooms.RoomPageRequest })
}

// fetchRooms is fetchUsers for rooms.
func (f *Feed) fetchRooms(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error) {
	return joinPages(admin.RoomPages(ctx, f.cfg.Client.RoomPage, r), func(all *admin.RoomPage, next admin.RoomPage) {
		all.Rooms, all.Next = slices.Concat(all.Rooms, next.Rooms), next.Next
	})
}

// joinPages is the first of some pages with the rows of the others.
func joinPages[P any](pages iter.Seq2[P, error], add func(all *P, next P)) (all P, err error) {
	isFirst := true
	for page, err := range pages {
		switch {
		case err != nil:
			return page, err
		case isFirst:
			all, isFirst = page, false
		default:
			add(&all, page)
		}
	}
	return all, nil
}

func (f *Feed) pollRollout(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[admin.Rollout] { return &s.Rollout }, f.cfg.Client.Rollout, nil)
}

// pollAudit requests the newest page each time, because an action's outcome follows
// its record. It requests older pages once, when the operator scrolls to them.
func (f *Feed) pollAudit(ctx context.Context) {
	sub := f.subscription.Load()
	poll(ctx, f, func(s *Snapshot) *Topic[AuditLog] { return &s.Audit },
		func(ctx context.Context) (AuditLog, error) {
			newest, err := f.cfg.Client.Audit(ctx, admin.AuditRequest{Limit: auditPageSize})
			if err != nil {
				return AuditLog{}, err
			}
			log := f.Snapshot().Audit.Value.prependNewest(newest)
			if log.Next == 0 || log.Next != sub.AuditBefore || len(log.Records) >= MaxAudit {
				return log, nil
			}
			older, err := f.cfg.Client.Audit(ctx, admin.AuditRequest{Before: log.Next, Limit: auditPageSize})
			if err != nil {
				return AuditLog{}, err
			}
			return log.appendOlder(older), nil
		}, nil)
}

// pollReplicas has a node compare the replicas. A node that restarts meanwhile is not proven,
// so the runs are those of before.
func (f *Feed) pollReplicas(ctx context.Context) {
	runs := guide.RunsOf(f.Snapshot().Status.Value.View)
	poll(ctx, f, func(s *Snapshot) *Topic[guide.Proof] { return &s.Replicas },
		func(ctx context.Context) (guide.Proof, error) {
			r, err := f.cfg.Client.Doctor(ctx, admin.DoctorRequest{ReplicasOnly: true})
			return guide.Proof{Checks: r.Checks, Runs: runs, At: f.cfg.Now()}, err
		}, nil)
}

// pollTrusted reads a file of this machine, which may hang like any disk.
func (f *Feed) pollTrusted(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[*core.CABundle] { return &s.Trusted },
		func(context.Context) (*core.CABundle, error) { return f.cfg.Client.TrustedCAs(), nil }, nil)
}

// pollRun has no answer as its value: the node may have been stopped.
func (f *Feed) pollRun(ctx context.Context) {
	node := f.subscription.Load().RunOf
	if node == "" { // the guide was left a moment ago
		return
	}
	known := guide.KnownRun(node, f.Snapshot().Status.Value.View)
	poll(ctx, f, func(s *Snapshot) *Topic[NodeRun] { return &s.Run },
		func(ctx context.Context) (NodeRun, error) {
			own, err := f.cfg.Client.StatusOf(ctx, node)
			return NodeRun{node, guide.OwnRun(node, known, own.View, err)}, nil
		}, nil)
}

// maxSessions is how many sessions of a user the page of the user shows.
const maxSessions = 6

// pollSessions requests the sessions of the open user.
func (f *Feed) pollSessions(ctx context.Context) {
	user := f.subscription.Load().Sessions
	if user == "" { // the user's page was left a moment ago
		return
	}
	if f.Snapshot().SessionsOf != user {
		f.publish(func(s *Snapshot) {
			s.SessionsOf, s.Sessions = user, Topic[admin.SessionPage]{Freshness: Freshness{Answers: s.Sessions.Answers + 1, ViewedSince: s.Sessions.ViewedSince}}
		})
	}
	poll(ctx, f, func(s *Snapshot) *Topic[admin.SessionPage] { return &s.Sessions },
		func(ctx context.Context) (admin.SessionPage, error) {
			return f.cfg.Client.SessionPage(ctx, admin.SessionPageRequest{User: user, Limit: maxSessions})
		}, nil)
}

// pollUserKey has an error in its value: the guide says it.
func (f *Feed) pollUserKey(ctx context.Context) {
	key := f.subscription.Load().UserKey
	if key == "" { // the guide was left a moment ago
		return
	}
	poll(ctx, f, func(s *Snapshot) *Topic[*guide.UserKey] { return &s.UserKey },
		func(ctx context.Context) (*guide.UserKey, error) {
			got := guide.UserKeyOf(f.cfg.Client.UserKey(ctx, key))
			got.User.ID = core.UserID(key) // also of a user that cannot be read
			return got, nil
		}, nil)
}
