package client

import (
	"maps"
	"time"

	"unibus/core"
)

// Stale says that this client was shown nothing for long that another member of an
// encrypted room has signed: either no member has the room open, or a node withholds what
// they sign, a removal perhaps. With Over it is so no longer.
type Stale struct {
	Room  core.RoomID
	Since core.Millis   // the newest time that another member has signed; 0: none was seen
	By    core.UserID   // that member
	After time.Duration // for so long nothing newer was shown
	// Clocks says that signed words still come in, and are older than After by this machine's
	// clock: a clock is wrong, this one or their signers', or a node holds them back.
	Clocks bool
	Over   bool
}

func (Stale) event() {}

// Freshness is what other members have signed of a room, as far as this client was shown.
type Freshness struct {
	Newest core.Millis   // by their clocks, and no later than this machine's; 0: nothing
	By     core.UserID   // who signed that
	Stale  bool          // nothing newer was shown for Within
	Clocks bool          // see Stale
	Within time.Duration // the time after which the room is stale; 0 where members sign nothing, or there is no other
	// Heard is the newest time of each other member, seen by this process. One member alone
	// could work with the nodes: that others were not heard is to be seen here.
	Heard map[core.UserID]core.Millis
}

// Freshness says how new the newest is that this client was shown of the room. Offline it
// grows old as well. Programs that show it to people get the event Stale, too.
func (r *Room) Freshness() (out Freshness) {
	r.do(func(l *roomLoop) {
		f := &l.fresh
		out = Freshness{Newest: f.newest, By: f.by, Stale: f.stale, Clocks: f.stale && f.clocks(time.Now()), Within: f.limit, Heard: maps.Clone(f.heard)}
	})
	return out
}

// freshness is when other members of a room were heard last. Durations are those of the
// clock that stands while the machine sleeps: a laptop that wakes has missed nothing yet.
type freshness struct {
	newest core.Millis
	by     core.UserID
	heard  map[core.UserID]core.Millis

	limit  time.Duration // 0: nobody is to be heard
	quiet  time.Duration // since something was heard that was not old
	looked time.Time     // when quiet was counted last
	late   time.Time     // when something old was heard last; zero: never
	stale  bool
}

// note notes that another member has signed something. It returns whether that ends a
// state of being stale. A time that is ahead of the clock counts as now: the signer's
// clock is wrong, or this one.
func (f *freshness) note(user core.UserID, at core.Millis, now time.Time) (over bool) {
	at = min(at, core.MillisOf(now))
	if f.heard == nil {
		f.heard = map[core.UserID]core.Millis{}
	}
	f.heard[user] = max(f.heard[user], at)
	if at > f.newest {
		f.newest, f.by = at, user
	}
	age := max(now.Sub(at.Time()), 0)
	if f.limit > 0 && age > f.limit {
		f.late = now
		return false
	}
	f.quiet, f.looked = min(f.quiet, age), now // what was held back is as old as it says
	over, f.stale = f.stale, false
	return over
}

// look counts the time since the last look. It returns whether the room is stale from now
// on. A step is bounded: a process that was stopped has heard nothing because of that.
func (f *freshness) look(now time.Time, limit, longest time.Duration) (stale bool) {
	if f.limit = limit; limit == 0 {
		f.quiet, f.stale = 0, false
	} else if !f.looked.IsZero() {
		f.quiet += min(max(now.Sub(f.looked), 0), longest)
	}
	f.looked = now
	if f.stale || limit == 0 || f.quiet < limit {
		return false
	}
	f.stale = true
	return true
}

// clocks says that what is heard is old: a clock is wrong, or it was held back.
func (f *freshness) clocks(now time.Time) bool {
	return !f.late.IsZero() && now.Sub(f.late) <= f.limit
}

// forget drops the users who are no members any more.
func (f *freshness) forget(isMember func(core.UserID) bool) {
	maps.DeleteFunc(f.heard, func(u core.UserID, _ core.Millis) bool { return !isMember(u) })
}

// noteSigned notes that another member has signed something of the room as it is here.
func (l *roomLoop) noteSigned(user core.UserID, at core.Millis) {
	if user != l.c.me {
		l.noteWitness(user, at)
	}
	l.noteHeard(user, at)
}

// noteHeard notes what another member has signed, and tells if that ends a silence.
func (l *roomLoop) noteHeard(user core.UserID, at core.Millis) {
	if user == l.c.me || l.saved.Members == nil {
		return
	}
	before := l.fresh.newest
	over := l.fresh.note(user, at, time.Now())
	if l.fresh.newest != before {
		l.saved.Heard, l.unsaved = &heardState{l.fresh.newest, l.fresh.by}, true
	}
	if over {
		l.c.events.emit(l.staleNow(true))
	}
}

func (l *roomLoop) staleNow(over bool) Stale {
	f := &l.fresh
	return Stale{Room: l.room.id, Since: f.newest, By: f.by, After: f.limit, Clocks: !over && f.clocks(time.Now()), Over: over}
}

// heardState is the newest time that another member has signed, in the room's file.
type heardState struct {
	Time core.Millis `json:"time"`
	By   core.UserID `json:"by"`
}
