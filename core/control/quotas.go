package control

import (
	"context"
	"slices"
	"sync"
	"time"

	"unibus/core"
)

// Quotas bound what one user can make the cluster keep and others carry. A zero
// is the default. They are checked by the node that is asked, against what it has
// proven; requests at the same moment may go over by as many as there are of them.
type Quotas struct {
	Invitations int   // pending ones that a user has sent
	Rooms       int   // rooms that a user owns
	Members     int   // members of one room, those who are invited included
	Rekeys      int   // new keys that a user makes in an hour through one node
	Bytes       int64 // of boxes, records and published keys that a user has stored in an hour through one node
}

// defaultQuotas are for a cluster of people and programs. They allow a hundred requests
// without an answer yet, rooms enough for a team's work, and ten times the largest room
// whose rekey was measured. They allow a new key every six seconds, and in an hour
// boxes for seven rekeys of a room of ten thousand (1.7 KB each).
func defaultQuotas() Quotas {
	return Quotas{Invitations: 100, Rooms: 250, Members: 10_000, Rekeys: 600, Bytes: 128 << 20}
}

// OrDefaults fills in what is zero.
func (q Quotas) OrDefaults() Quotas {
	d := defaultQuotas()
	if q.Invitations == 0 {
		q.Invitations = d.Invitations
	}
	if q.Rooms == 0 {
		q.Rooms = d.Rooms
	}
	if q.Members == 0 {
		q.Members = d.Members
	}
	if q.Rekeys == 0 {
		q.Rekeys = d.Rekeys
	}
	if q.Bytes == 0 {
		q.Bytes = d.Bytes
	}
	return q
}

func overQuota(user core.UserID, have int, what string, most int) *core.Error {
	return core.Errorf(core.KindRefused, "%s has %d %s, and may have %d", user.Short(), have, what, most)
}

// mayOwn refuses one room more than a user may own.
func (s *Service) mayOwn(ctx context.Context, st core.Store, user core.UserID) error {
	mine, err := st.RoomsOf(ctx, user)
	if err != nil || len(mine) < s.cfg.Quotas.Rooms {
		return err
	}
	owned := 0
	for _, id := range mine {
		r, err := st.Room(ctx, id)
		if err != nil {
			return err
		}
		if r.Owner == user {
			owned++
		}
	}
	if owned >= s.cfg.Quotas.Rooms {
		return overQuota(user, owned, "rooms of their own", s.cfg.Quotas.Rooms).
			WithNext("hand one over, or archive it and leave it; an operator can raise --quota-rooms")
	}
	return nil
}

// mayInvite refuses an invitation too many, by its inviter or into its room. One
// that replaces a pending invitation of the same member takes that one's place.
func (s *Service) mayInvite(ctx context.Context, st core.Store, by core.UserID, m core.Member, replaces bool) error {
	sent, err := st.Invitations(ctx, core.InvitationFilter{By: by})
	if err != nil {
		return err
	}
	sent = slices.DeleteFunc(sent, func(i core.Member) bool { return i.Room == m.Room && i.User == m.User })
	if len(sent) >= s.cfg.Quotas.Invitations {
		return overQuota(by, len(sent), "pending invitations", s.cfg.Quotas.Invitations).
			WithNext("wait for answers, or withdraw some by removing invited users; an operator can raise --quota-invitations")
	}
	if replaces {
		return nil // the room does not grow by it
	}
	members, invited, err := st.MemberCount(ctx, m.Room)
	if n := members + invited; err == nil && n >= s.cfg.Quotas.Members {
		err = core.Errorf(core.KindRefused, "the room %s has %d members and invitations, and may have %d", m.Room, n, s.cfg.Quotas.Members).
			WithNext("remove some, or go on in a second room; an operator can raise --quota-members")
	}
	return err
}

// usage is what users have made this node store within the present hour.
type usage struct {
	mu    sync.Mutex
	since time.Time
	by    map[core.UserID]userUsage
}

type userUsage struct {
	rekeys int
	bytes  int64
}

const usagePeriod = time.Hour

// countUsage counts, and refuses what would be over the quotas without counting it.
func (u *usage) countUsage(q Quotas, now time.Time, user core.UserID, rekeys int, bytes int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil || now.Sub(u.since) >= usagePeriod || now.Before(u.since) {
		u.since, u.by = now, map[core.UserID]userUsage{}
	}
	left := usagePeriod - now.Sub(u.since)
	next := u.by[user]
	next.rekeys, next.bytes = next.rekeys+rekeys, next.bytes+bytes
	switch {
	case next.rekeys > q.Rekeys:
		return core.Errorf(core.KindRefused, "%s has made %d new keys within the hour, and may make %d", user.Short(), q.Rekeys, q.Rekeys).
			WithNext("try again in %s; an operator can raise --quota-rekeys", left.Round(time.Minute))
	case next.bytes > q.Bytes:
		return core.Errorf(core.KindRefused, "%s has stored %d bytes within the hour, and may store %d", user.Short(), next.bytes-bytes, q.Bytes).
			WithNext("try again in %s; an operator can raise --quota-megabytes", left.Round(time.Minute))
	}
	u.by[user] = next
	return nil
}

// countUsage counts what an actor stores.
func (s *Service) countUsage(a *actor, rekeys, bytes int) error {
	return s.usage.countUsage(s.cfg.Quotas, s.cfg.Now().Time(), a.id(), rekeys, int64(bytes))
}
