package bus

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sort"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
)

// nats-server refuses the newest connection when it has too many. A client that
// opens connections and sends no credentials would then keep every other client
// out. So nats-server accepts more than --max-connections (Limits.sockets), and
// the reaper closes the oldest connections that are not admitted: those that have
// sent no credentials, and those whose credentials a node without a quorum cannot
// decide about. Every client can make a key and sign with it.
const (
	reapEvery      = 50 * time.Millisecond
	reapQuiet      = 250 * time.Millisecond // while every connection is admitted: an idle node is to wake seldom
	sweepEvery     = time.Second
	admittedWithin = time.Second // after that a connection that is not admitted may use no free place
)

// idleReaper closes connections that are not admitted.
type idleReaper struct {
	srv      *server.Server
	sessions *sessionTable
	limits   Limits
	swept    time.Time
}

// idleConnection is one that is not admitted.
type idleConnection struct {
	id      uint64 // counts up: a smaller one is older
	address string
	since   time.Time
}

// reapIdle runs until ctx ends.
func (s *Server) reapIdle(ctx context.Context, srv *server.Server) {
	r := idleReaper{srv: srv, sessions: s.auth.sessions, limits: s.cfg.Limits}
	logged, closed := time.Time{}, 0
	timer := time.NewTimer(reapQuiet)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		n := r.reap(time.Now())
		timer.Reset(core.UntilTick(r.pause()))
		closed += n
		if n > 0 && time.Since(logged) >= time.Second {
			s.log.Warn("there were too many connections that are not admitted: the oldest were closed", "closed", closed)
			logged, closed = time.Now(), 0
		}
	}
}

// pause is how long the reaper rests. The sockets beyond --max-connections hold what comes
// in the longer one.
func (r *idleReaper) pause() time.Duration {
	if r.srv.NumClients() > r.sessions.decidedCount() {
		return reapEvery
	}
	return reapQuiet
}

// reap returns how many connections it closed.
func (r *idleReaper) reap(now time.Time) int {
	due := now.Sub(r.swept) >= sweepEvery
	if due {
		r.swept = now
		r.sessions.sweepAll(r.srv)
	}
	idle := r.srv.NumClients() - r.sessions.decidedCount()
	crowded := due && idle+r.sessions.mostOfOneAddress() > r.limits.PerAddress
	if idle <= r.limits.unauthenticated() && !crowded {
		return 0
	}
	n := 0
	for _, id := range r.surplus(r.idle(), now) {
		if !r.sessions.hasAdmitted(id) && r.srv.DisconnectClientByID(id) == nil {
			n++
		}
	}
	return n
}

// idle returns the connections that are not admitted, the oldest first.
func (r *idleReaper) idle() []idleConnection {
	info, err := r.srv.Connz(&server.ConnzOptions{Limit: 2 * r.limits.sockets()})
	if err != nil {
		return nil // the server is stopping
	}
	var out []idleConnection
	for _, c := range info.Conns {
		if _, err := netip.ParseAddr(c.IP); err == nil && !r.sessions.hasAdmitted(c.Cid) { // the process's own have no address
			out = append(out, idleConnection{c.Cid, c.IP, c.Start})
		}
	}
	slices.SortFunc(out, func(a, b idleConnection) int { return cmp.Compare(a.id, b.id) })
	return out
}

// surplus returns which of some connections, the oldest first, must be closed. New
// ones may use every free place, so that many honest clients can connect at once.
func (r *idleReaper) surplus(idle []idleConnection, now time.Time) []uint64 {
	free := max(0, r.limits.Connections-r.sessions.admittedCount())
	closing := oldestOfLargest(idle, r.limits.unauthenticated()+free)
	late := slices.DeleteFunc(slices.Clone(idle), func(c idleConnection) bool { return now.Sub(c.since) <= admittedWithin })
	closing = append(closing, oldestOfLargest(late, max(r.limits.unauthenticated(), len(late)-r.limits.lateAtOnce()))...)
	for address, some := range groupBy(late, func(c idleConnection) string { return c.address }) {
		over := r.sessions.admittedAt(address) + len(some) - r.limits.PerAddress
		closing = append(closing, some[:min(max(over, 0), len(some))]...)
	}
	return closing
}

// oldestOfLargest returns which of some connections to close so that keep of them
// stay. The network with most connections loses its oldest first: a flood from one
// network does not push out the single connection of another.
func oldestOfLargest(some []idleConnection, keep int) []uint64 {
	over := len(some) - keep
	if over <= 0 {
		return nil
	}
	groups := groupBy(some, network)
	share := largestShare(groups, keep)
	var closing, rest []uint64
	for _, g := range groups {
		cut := max(0, len(g)-share)
		closing, rest = append(closing, g[:cut]...), append(rest, g[cut:]...)
	}
	if missing := over - len(closing); missing > 0 { // more networks than may stay: the oldest of all
		slices.Sort(rest)
		closing = append(closing, rest[:missing]...)
	}
	return closing
}

// largestShare is how many connections each group may keep, at least one, so that no more than keep stay.
func largestShare(groups map[string][]uint64, keep int) int {
	tooLarge := sort.Search(keep+1, func(share int) bool {
		total := 0
		for _, g := range groups {
			total += min(len(g), share)
		}
		return total > keep
	})
	return max(1, tooLarge-1)
}

// network is the address, or the /64 of an IPv6 address: one client has all of that.
func network(c idleConnection) string {
	ip, err := netip.ParseAddr(c.address)
	if err != nil || ip.Unmap().Is4() {
		return c.address
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return c.address
	}
	return p.String()
}

// groupBy keeps the order within each group.
func groupBy(some []idleConnection, of func(idleConnection) string) map[string][]uint64 {
	groups := map[string][]uint64{}
	for _, c := range some {
		groups[of(c)] = append(groups[of(c)], c.id)
	}
	return groups
}

// decidedCount is how many connections are admitted, the process's own included.
func (t *sessionTable) decidedCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all) - t.undecided
}

// mostOfOneAddress is the largest number of connections with credentials from one address.
func (t *sessionTable) mostOfOneAddress() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := 0
	for _, some := range t.byHost {
		most = max(most, len(some))
	}
	return most
}

// admittedCount is how many connections count for --max-connections.
func (t *sessionTable) admittedCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.userCount + t.operatorCount
}

// admittedAt is how many admitted connections an address has.
func (t *sessionTable) admittedAt(address string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, ses := range t.byHost[address] {
		if ses.admitted {
			n++
		}
	}
	return n
}

func (t *sessionTable) hasAdmitted(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ses := t.all[id]
	return ses != nil && ses.admitted
}
