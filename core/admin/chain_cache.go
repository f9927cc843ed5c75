package admin

import (
	"sync"

	"unibus/core"
	"unibus/core/seal"
)

// maxChainsKept bounds the chains whose summary a node keeps: a console looks at one room
// again and again, and reading a long chain takes a while.
const maxChainsKept = 64

// chainCache keeps the summaries of chains by their newest statement.
type chainCache struct {
	mu     sync.Mutex
	chains map[core.RoomID]keptChain
}

type keptChain struct {
	head    seal.Hash
	summary *ChainSummary
}

func (c *chainCache) get(room core.RoomID, head seal.Hash) *ChainSummary {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.chains[room]; kept.head == head {
		return kept.summary
	}
	return nil
}

func (c *chainCache) put(room core.RoomID, head seal.Hash, s *ChainSummary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chains == nil || len(c.chains) >= maxChainsKept {
		c.chains = map[core.RoomID]keptChain{}
	}
	c.chains[room] = keptChain{head, s}
}
