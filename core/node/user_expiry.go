package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/control"
)

const (
	expireEvery   = 250 * time.Millisecond // a session ends within a second of its user's end
	expireIdle    = time.Second            // likewise, while no end is near
	expireAgain   = 5 * time.Second        // for so long sessions are ended that were admitted at the last moment
	announceUntil = time.Minute            // after it the end is no news: the node has just started, or was paused
)

// userExpiry ends the sessions of users whose time is over while they are connected.
// The authenticator refuses such a user by the clock, and leaves open sessions. It
// keeps the ends of all users that have one: the KV store's watch reports changes, and
// after those that no watch reports they are read from the store's memory or file.
type userExpiry struct {
	stale   atomic.Bool // the ends have to be read again
	control atomic.Pointer[control.Service]
	wake    chan struct{} // there is something to do; a buffer of one

	mu      sync.Mutex
	ends    map[core.UserID]*userEnd
	changed map[core.UserID]bool // users that changed during a reading; nil: none is under way
}

// userEnd is the end of one user's time.
type userEnd struct {
	at   core.Millis
	over time.Time // when this node saw that it is over; zero: it is not
}

func newUserExpiry() userExpiry {
	return userExpiry{ends: map[core.UserID]*userEnd{}, wake: make(chan struct{}, 1)}
}

// reread has the ends read again.
func (e *userExpiry) reread() {
	e.stale.Store(true)
	signal(e.wake)
}

// set keeps the end of a user as the watch reports it; 0 is none.
func (e *userExpiry) set(id core.UserID, at core.Millis) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changed != nil {
		e.changed[id] = true
	}
	e.keep(e.ends, id, at)
	if e.isNear(at, time.Now()) {
		signal(e.wake)
	}
}

// isNear is true for an end that comes before the longer pause is over.
func (e *userExpiry) isNear(at core.Millis, now time.Time) bool {
	return at != 0 && at <= core.MillisOf(now.Add(2*expireIdle))
}

// pause is longer while no end is near, none was met a moment ago and none has to be read.
func (e *userExpiry) pause(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stale.Load() {
		return expireEvery
	}
	for _, end := range e.ends {
		if e.isNear(end.at, now) && (end.over.IsZero() || now.Sub(end.over) <= expireAgain) {
			return expireEvery
		}
	}
	return expireIdle
}

// keep leaves an end that is known already as it is. The caller holds mu.
func (e *userExpiry) keep(ends map[core.UserID]*userEnd, id core.UserID, at core.Millis) {
	before := e.ends[id]
	switch {
	case at == 0:
		delete(ends, id)
	case before != nil && before.at == at:
		ends[id] = before
	default:
		ends[id] = &userEnd{at: at}
	}
}

// read takes the ends from the store. Reports of the watch that come meanwhile are newer.
func (e *userExpiry) read(ctx context.Context, st core.Store) error {
	e.mu.Lock()
	e.changed = map[core.UserID]bool{}
	e.mu.Unlock()
	users, err := st.ExpiringUsers(core.Unproven(ctx)) // a proof is a write, and an idle node writes nothing
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.changed
	e.changed = nil
	if err != nil {
		return err
	}
	next := make(map[core.UserID]*userEnd, len(users))
	for _, u := range users {
		e.keep(next, u.ID, u.Expires)
	}
	for id := range changed {
		delete(next, id)
		if end := e.ends[id]; end != nil {
			next[id] = end
		}
	}
	e.ends = next
	return nil
}

// count is how many users have an end.
func (e *userExpiry) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.ends)
}

// takeOver are the users whose sessions have to end now. first is true once for each end.
func (e *userExpiry) takeOver(now time.Time) (over []expiredUser) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, end := range e.ends {
		if core.MillisOf(now) < end.at {
			continue
		}
		first := end.over.IsZero()
		if first {
			end.over = now
		}
		if now.Sub(end.over) <= expireAgain {
			over = append(over, expiredUser{id, end.at, first})
		}
	}
	return over
}

type expiredUser struct {
	id    core.UserID
	at    core.Millis
	first bool
}

// runExpiry ends sessions of expired users until ctx ends.
func (s *sessions) runExpiry(ctx context.Context) {
	for ctx.Err() == nil {
		s.expire(ctx)
		select {
		case <-ctx.Done():
		case <-s.expiry.wake:
		case <-time.After(core.UntilTick(s.expiry.pause(time.Now()))):
		}
	}
}

func (s *sessions) expire(ctx context.Context) {
	if s.n.cfg.BusAuth == core.BusAuthOff { // off admits every connection
		s.expiry.stale.Store(false) // a node that is started with another mode reads them
		return
	}
	st, err := s.n.storeHandle.Store()
	if err == nil && s.expiry.stale.Swap(false) {
		if err := s.expiry.read(ctx, st); err != nil {
			s.expiry.stale.Store(true) // until then the ends that are known count
		}
	}
	for _, u := range s.expiry.takeOver(time.Now()) {
		s.endExpired(ctx, u)
	}
}

func (s *sessions) endExpired(ctx context.Context, u expiredUser) {
	n := s.n.bus.DisconnectWhere(string(u.id), func(g auth.Grant) bool { return g.Kind == auth.KindUser || g.Kind == auth.KindAnonymous })
	if n > 0 {
		text := fmt.Sprintf("the user %s ended on %s, %d sessions ended", u.id.Short(), u.at.Time().Format(time.DateTime+" UTC"), n)
		s.n.log.Info(text, "user", u.id)
		if s.n.peers != nil {
			clusterView{s.n}.Note(cluster.Note, "node."+s.n.cfg.Name, text)
		}
	}
	if u.first && time.Since(u.at.Time()) < announceUntil {
		s.announceExpired(ctx, u.id)
	}
}

// announceExpired tells the user's rooms, so that members make new keys. It is a hint,
// and every node gives it.
func (s *sessions) announceExpired(ctx context.Context, id core.UserID) {
	service := s.expiry.control.Load()
	st, err := s.n.storeHandle.Store()
	if err != nil || service == nil {
		return
	}
	ctx, cancel := context.WithTimeout(core.Unproven(ctx), reviewTimeout)
	defer cancel()
	if u, err := st.User(ctx, id); err == nil {
		service.UserChanged(ctx, st, u)
	}
}
