package client

import (
	"math/rand/v2"
	"time"

	"unibus/core"
)

// pace is how long things take. Tests shorten it.
type pace struct {
	probe   time.Duration // between two looks at a room for which something waits
	flush   time.Duration // for a node to answer such a look
	reread  time.Duration // a room is read this often, because a hint may be lost
	hold    time.Duration // a message waits this long for keys or for word of its sender
	look    time.Duration // one look at a room may take this long
	plea    time.Duration // between two pleas for a key
	refused time.Duration // nodes must refuse this user for so long before it counts: an election may take that
	renew   time.Duration // between two new keys for those who have lost what opens their box

	// How long a member waits before it does what any could do, at the most: those of
	// a higher role are first, and find it done seldom.
	owner, admin, others time.Duration
}

// markEvery is how often the newest times of senders are kept, and ageAgain how
// often one process makes a new key for age alone: two clocks that are weeks
// apart must not outbid each other.
const (
	markEvery = time.Second
	ageAgain  = time.Hour

	sessionFor = 2 * time.Second // a session that lacks a room is asked again after that, if it has not ended by then
)

func defaultPace() pace {
	return pace{
		probe: 250 * time.Millisecond, flush: 2 * time.Second, reread: time.Minute, hold: 10 * time.Second, look: 5 * time.Second, plea: 15 * time.Second, refused: 7 * time.Second, renew: time.Minute,
		owner: 500 * time.Millisecond, admin: time.Second, others: 3 * time.Second,
	}
}

// jitter is how long somebody of a role waits. The lower ones wait at least as
// long as the higher ones.
func (p pace) jitter(role core.MemberRole) time.Duration {
	switch role {
	case core.MemberOwner:
		return upTo(p.owner)
	case core.MemberAdmin:
		return p.owner + upTo(p.admin)
	}
	return p.owner + p.admin + upTo(p.others)
}

func upTo(d time.Duration) time.Duration { return rand.N(max(d, 1)) }

// around is d, a tenth more or less, so that many do not act at once.
func around(d time.Duration) time.Duration { return d - d/10 + upTo(d/5) }
