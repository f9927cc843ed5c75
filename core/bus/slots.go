package bus

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// slotSweep bounds how often the table is swept because users find no slot: a
// full node must not spend its time on those that it refuses.
const slotSweep = 50 * time.Millisecond

// accountFull admits no connection. nats-server tells a client that is registered
// there that there are too many connections. Clients try again after that; after
// two refusals of their credentials many never do.
const accountFull = "FULL"

// errNoSlot is the cause of a refusal for lack of slots.
var errNoSlot = errors.New("no connection is free")

// noSlot tells the client why it is refused.
func (g *gate) noSlot(srv *server.Server, c server.ClientAuthentication) {
	if acc, err := srv.LookupAccount(accountFull); err == nil {
		c.RegisterUser(&server.User{Account: acc})
	}
}

// slot is nil where there is a slot for a connection with this grant. Users leave
// some to the operators; the process's own connections need none. It is decided
// only now because before the decision anybody can claim an operator's key. For
// callers that hold mu.
func (t *sessions) slot(srv *server.Server, ses *session, grant auth.Grant) error {
	if ses.pipe || t.fits(grant) {
		return nil
	}
	if now := time.Now(); grant.Who == auth.WhoOperator || now.Sub(t.swept) >= slotSweep {
		t.swept = now
		t.sweep(srv, t.all)
	}
	if t.fits(grant) {
		return nil
	}
	if grant.Who == auth.WhoOperator {
		return core.Errorf(core.KindUnavailable, "%w: all %d of this node (--max-connections) are in use", errNoSlot, t.limits.Connections).
			WithNext("close some of them, or raise --max-connections")
	}
	return core.Errorf(core.KindUnavailable, "%w: users have %d of %d (--max-connections), and the other %d are reserved for operators",
		errNoSlot, t.userSlots, t.limits.Connections, t.limits.Connections-t.userSlots).
		WithNext("close some of them, or raise --max-connections")
}

func (t *sessions) fits(grant auth.Grant) bool {
	if t.userSlots+t.operatorSlots >= t.limits.Connections {
		return false
	}
	return grant.Who == auth.WhoOperator || t.userSlots < t.limits.Connections-t.limits.operatorSlots()
}

// counter is for callers that hold mu.
func (t *sessions) counter(grant auth.Grant) *int {
	if grant.Who == auth.WhoOperator {
		return &t.operatorSlots
	}
	return &t.userSlots
}

// sweepAll forgets every connection that has closed.
func (t *sessions) sweepAll(srv *server.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(srv, t.all)
}

// count returns how many connections have sent credentials.
func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// mostOfOneAddress is how many connections with credentials one address has at most.
func (t *sessions) mostOfOneAddress() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := 0
	for _, some := range t.byHost {
		most = max(most, len(some))
	}
	return most
}

// connected is how many connections have a slot.
func (t *sessions) connected() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.userSlots + t.operatorSlots
}

// at is how many connections of an address have sent credentials.
func (t *sessions) at(address string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byHost[address])
}

func (t *sessions) has(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id] != nil
}
