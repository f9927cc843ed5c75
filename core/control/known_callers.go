package control

import "sync"

// callers are those who were active users when they last asked; it is a hint
// that saves time, and nothing is allowed because of it.
type callers struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

const maxCallers = 10_000

func (c *callers) has(caller string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.seen[caller]
	return ok
}

// add forgets all others where they are too many: it is cheap to learn them again.
func (c *callers) add(caller string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= maxCallers {
		c.seen = map[string]struct{}{}
	}
	c.seen[caller] = struct{}{}
}

func (c *callers) drop(caller string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, caller)
}
