package bus

import (
	"cmp"
	"time"

	"unibus/core"
	"unibus/core/auth"
)

// Limits bound the clients. A zero is the default.
type Limits struct {
	Connections   int           // over the network, with credentials that were accepted
	PerAddress    int           // from one address, counted from accept on
	Payload       int           // bytes of one message; buckets and batches need the default
	Pending       int64         // bytes that wait for a client before it is disconnected
	Subscriptions int           // of one connection; at least auth.MaxRooms and a few
	AuthTimeout   time.Duration // from the connection to the decision, longer than auth.DefaultTimeout
}

// The defaults of Limits.
const (
	defaultConnections   = 16384
	defaultPerAddress    = 4096
	defaultPayload       = 1 << 20
	defaultPending       = 64 << 20 // nats-server's own: a watch of the control plane may have half of that under way
	defaultSubscriptions = 2 * (auth.MaxRooms + 24)
	defaultAuthTimeout   = 5 * time.Second
)

func (l Limits) orDefaults() Limits {
	l.Connections = cmp.Or(l.Connections, defaultConnections)
	l.PerAddress = cmp.Or(l.PerAddress, min(defaultPerAddress, max(l.Connections, 1)))
	l.Payload = cmp.Or(l.Payload, defaultPayload)
	l.Pending = cmp.Or(l.Pending, defaultPending)
	l.Subscriptions = cmp.Or(l.Subscriptions, defaultSubscriptions)
	l.AuthTimeout = cmp.Or(l.AuthTimeout, defaultAuthTimeout)
	return l
}

// minConnections leaves users as many connections as operators and a few more.
const minConnections = 16

// acceptBurst is how many connections can be accepted between two runs of the
// reaper before nats-server refuses new ones.
const acceptBurst = 1024

// reservedForOperators is how many of the connections users cannot take.
func (l Limits) reservedForOperators() int { return max(4, l.Connections/16) }

// unauthenticated is how many connections that are not admitted may stay open beyond the free places.
func (l Limits) unauthenticated() int { return min(l.Connections/4+16, 1024) }

// lateAtOnce is how many late connections that are not admitted one run of the reaper
// closes although places are free. All of them at once would reconnect at once.
func (l Limits) lateAtOnce() int { return l.unauthenticated() / 8 }

// sockets is how many connections nats-server accepts, the process's own included.
func (l Limits) sockets() int { return l.Connections + l.unauthenticated() + acceptBurst }

func (l Limits) check() error {
	switch {
	case l.Connections < minConnections:
		return core.Errorf(core.KindInvalid, "%d connections are too few: the node itself needs some", l.Connections).
			WithNext("give --max-connections at least %d", minConnections)
	case l.PerAddress < 1 || l.PerAddress > l.Connections:
		return core.Errorf(core.KindInvalid, "one address cannot have %d of %d connections", l.PerAddress, l.Connections).
			WithNext("give --max-connections-per-address 1 to %d", l.Connections)
	case l.Payload < 0 || l.Subscriptions < 0 || l.Pending < int64(l.Payload) || l.AuthTimeout < 0:
		return core.Errorf(core.KindInvalid, "the limits of the bus do not fit each other")
	}
	return nil
}
