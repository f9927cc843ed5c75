package client

import (
	"math/rand/v2"
	"time"

	"unibus/core"
)

// timing holds the intervals and timeouts of a client. Tests shorten them.
type timing struct {
	probeEvery         time.Duration // between two reconciles of a room in which messages wait
	flushTimeout       time.Duration // for a node to answer a flush
	rereadEvery        time.Duration // a room is read this often, because a control event may be lost
	holdFor            time.Duration // a message waits this long for its key or for its sender's status
	reconcileTimeout   time.Duration // for reading one room and its members
	keyRequestEvery    time.Duration // between two requests for a key
	refusedFor         time.Duration // nodes must refuse this user for so long before it counts: an election may take that
	renewEvery         time.Duration // between two new keys for members who cannot open their box
	keyCareAfter       time.Duration // a client that was opened looks after this user's encryption keys then
	keyCareEvery       time.Duration // and again that often
	kemEvery           time.Duration // this user's encryption key is renewed that often
	keyRetention       time.Duration // nodes keep the boxes of an epoch for so long after it is over
	minHeartbeat       time.Duration // between two heartbeats of a room, at least
	heartbeatPerMember time.Duration // and for each member so long, in a large room
	kemGrace           time.Duration // a former one stays at least for so long: a member may have read it just before
	compareEvery       time.Duration // the whole list of members is compared with the statements this often
	invitationsEvery   time.Duration // this user's invitations are read this often, because a hint may be lost

	// How long a member waits, at most, before it makes or gives a key that any
	// member could: higher roles act first, and the others then find it done.
	ownerDelay, adminDelay, memberDelay time.Duration
}

const (
	saveMarksEvery = time.Second     // the newest times of senders are saved so often
	minRekeyAge    = time.Hour       // one process makes a key for age alone so often: two clocks that are weeks apart must not outbid each other
	renewalsApart  = 60              // and for one of them this many times renewEvery
	probeAgain     = 2 * time.Second // a session that lacks a room is probed again after that, if it has not ended by then
)

func defaultTiming() timing {
	return timing{
		probeEvery: 250 * time.Millisecond, flushTimeout: 2 * time.Second, rereadEvery: time.Minute, holdFor: 10 * time.Second,
		reconcileTimeout: 5 * time.Second, keyRequestEvery: 15 * time.Second, refusedFor: 7 * time.Second, renewEvery: time.Minute,
		keyCareAfter: time.Minute, keyCareEvery: time.Hour, kemEvery: 30 * 24 * time.Hour, kemGrace: time.Hour, keyRetention: core.KeyRetention,
		minHeartbeat: 10 * time.Minute, heartbeatPerMember: 600 * time.Millisecond,
		ownerDelay: 500 * time.Millisecond, adminDelay: time.Second, memberDelay: 3 * time.Second,
		invitationsEvery: 5 * time.Minute, compareEvery: time.Hour,
	}
}

// delayFor draws how long a member of a role waits. Lower roles wait at least as
// long as higher ones.
func (t timing) delayFor(role core.MemberRole) time.Duration {
	switch role {
	case core.MemberOwner:
		return randomUpTo(t.ownerDelay)
	case core.MemberAdmin:
		return t.ownerDelay + randomUpTo(t.adminDelay)
	}
	return t.ownerDelay + t.adminDelay + randomUpTo(t.memberDelay)
}

func randomUpTo(d time.Duration) time.Duration { return rand.N(max(d, 1)) }

// jittered is d, a tenth more or less, so that many clients do not act at once.
func jittered(d time.Duration) time.Duration { return d - d/10 + randomUpTo(d/5) }
