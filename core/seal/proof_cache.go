package seal

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"

	"unibus/core"
)

// maxCachedProofs bounds the proofs that a ProofCache keeps, in bytes.
const maxCachedProofs = 64 << 20

// ProofCache keeps the chains to which the proofs of rooms' rows led, for a store's keeper
// who is asked about the same room again. Each call gives the proofs as they are: the cache
// compares every byte, and reads the statements that are new alone. The zero value is ready,
// and safe for concurrent use.
type ProofCache struct {
	mu    sync.Mutex
	rooms map[core.RoomID]*cachedChain
	bytes int
	calls uint64
}

// cachedChain is what the proofs of a room led to. Nothing of it is changed.
type cachedChain struct {
	proofs [][]byte // with statements
	size   int
	chain  *Membership
	used   uint64 // the call that used it last; guarded by ProofCache.mu

	first uint64 // the checkpoint that was asked for last, and the state before it; 0: none
	state []byte
}

// Membership is MembershipOfProofs. The chain is the caller's to change.
func (c *ProofCache) Membership(room core.RoomID, proofs [][]byte) (*Membership, error) {
	known, err := c.get(room, proofs)
	if err != nil || known == nil {
		return nil, err
	}
	return known.chain.clone(), nil
}

// Statements is StatementsOfProofs.
func (c *ProofCache) Statements(room core.RoomID, proofs [][]byte, from uint64, limit int) [][]byte {
	known, err := c.get(room, proofs)
	if err != nil || known == nil || from < known.chain.start {
		return StatementsOfProofs(proofs, from, limit)
	}
	m := known.chain
	if from > m.head.Seq {
		return [][]byte{}
	}
	log := m.log[from-m.start:]
	return rawOf(log[:min(len(log), limit)])
}

// Source is SourceOfProofs.
func (c *ProofCache) Source(room core.RoomID, proofs [][]byte, upto uint64) (MembershipSource, uint64, error) {
	known, err := c.get(room, proofs)
	if err != nil || known == nil {
		return SourceOfProofs(room, proofs, upto)
	}
	m, at := known.chain, known.chain.checkpointAt(upto)
	if at > 0 && known.first == m.start+uint64(at) {
		return MembershipSource{Room: room, State: known.state, Statements: rawOf(m.log[at:])}, known.first, nil
	}
	from, first, err := SourceOfProofs(room, proofs, upto)
	if err == nil && at > 0 {
		with := newCachedChain(known.proofs, m)
		with.first, with.state = first, from.State
		c.keep(room, with)
	}
	return from, first, err
}

// get is the chain of a room; nil for one without statements.
func (c *ProofCache) get(room core.RoomID, proofs [][]byte) (*cachedChain, error) {
	proofs = slices.DeleteFunc(slices.Clone(proofs), func(p []byte) bool { return !core.HasStatements(p) })
	c.mu.Lock()
	known := c.rooms[room]
	if c.calls++; known != nil {
		known.used = c.calls
	}
	c.mu.Unlock()
	if next := known.follow(proofs); next != nil {
		if next != known {
			c.keep(room, next)
		}
		return next, nil
	}
	m, err := MembershipOfProofs(room, proofs)
	if err != nil || m == nil {
		return nil, err
	}
	next := newCachedChain(proofs, m)
	c.keep(room, next)
	return next, nil
}

func newCachedChain(proofs [][]byte, m *Membership) *cachedChain {
	out := &cachedChain{proofs: proofs, chain: m}
	for _, p := range proofs {
		out.size += len(p)
	}
	return out
}

// follow is the chain with the statements that are new in the proofs; nil where the proofs
// are not those that are known and such statements after them.
func (k *cachedChain) follow(proofs [][]byte) *cachedChain {
	if k == nil {
		return nil
	}
	added, ok := addedStatements(k.proofs, proofs)
	switch {
	case !ok:
		return nil
	case len(added) == 0:
		return k
	}
	m := k.chain.clone()
	for _, s := range added {
		if s.Room != m.room || m.follow(s) != nil {
			return nil // the whole chain says what is wrong
		}
	}
	next := newCachedChain(proofs, m)
	next.first, next.state = k.first, k.state
	return next
}

// addedStatements are the statements that come after the proofs of before, by number. Both
// are in the order of their rows, among which new ones may be.
func addedStatements(before, now [][]byte) (added []Statement, ok bool) {
	for _, proof := range now {
		tail := proof[len(core.StatementsPrefix):]
		if len(before) > 0 && bytes.HasPrefix(proof, before[0]) {
			tail, before = proof[len(before[0]):], before[1:]
		}
		raw, states, ok := splitEntries(tail)
		if !ok || len(states) > 0 {
			return nil, false
		}
		for _, b := range raw {
			s, _, fits := parseStatement(b)
			if !fits {
				return nil, false
			}
			added = append(added, s)
		}
	}
	slices.SortFunc(added, func(a, b Statement) int { return cmp.Compare(a.Seq, b.Seq) })
	return added, len(before) == 0
}

// keep keeps a chain, unless a later one of its room is there or it is too large, and drops
// those that were not used for longest.
func (c *ProofCache) keep(room core.RoomID, k *cachedChain) {
	if k.size > maxCachedProofs {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if was := c.rooms[room]; was != nil {
		if was.chain.head.Seq > k.chain.head.Seq {
			return
		}
		c.bytes -= was.size
	}
	if c.rooms == nil {
		c.rooms = map[core.RoomID]*cachedChain{}
	}
	k.used = c.calls
	c.rooms[room] = k
	for c.bytes += k.size; c.bytes > maxCachedProofs; {
		c.dropOldest()
	}
}

// dropOldest drops the chain that was not used for longest. The caller holds mu.
func (c *ProofCache) dropOldest() {
	var oldest core.RoomID
	for room, k := range c.rooms {
		if o := c.rooms[oldest]; o == nil || k.used < o.used {
			oldest = room
		}
	}
	c.bytes -= c.rooms[oldest].size
	delete(c.rooms, oldest)
}

// clone is a chain that changes on its own.
func (m *Membership) clone() *Membership {
	out := *m
	out.people, out.log = maps.Clone(m.people), slices.Clip(m.log)
	return &out
}

// checkpointAt is the place in the log of the newest checkpoint that is not after a
// statement, beside the first one there; 0: there is none.
func (m *Membership) checkpointAt(upto uint64) int {
	for at := len(m.log) - 1; at > 0; at-- {
		if m.start+uint64(at) <= upto && m.log[at].kind() == StatementCheckpoint {
			return at
		}
	}
	return 0
}

func rawOf(log []logged) [][]byte {
	out := make([][]byte, len(log))
	for i, l := range log {
		out[i] = l.raw
	}
	return out
}
