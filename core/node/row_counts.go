package node

import (
	"context"
	"sync/atomic"
	"time"

	"unibus/core"
)

// countEvery is the pause between two counts of the rows.
const countEvery = 2 * time.Second

// rowCounts keeps the figures that screens show. While the store cannot be read the last
// ones stay, with their age.
type rowCounts struct{ latest atomic.Pointer[countedRows] }

type countedRows struct {
	counts core.Counts
	at     core.Millis
}

func (c *rowCounts) run(ctx context.Context, store func() (core.Store, error)) {
	repeat(ctx, countEvery, func() { c.count(ctx, store) })
}

func (c *rowCounts) count(ctx context.Context, store func() (core.Store, error)) {
	ctx, cancel := context.WithTimeout(ctx, countEvery)
	defer cancel()
	s, err := store()
	if err != nil {
		return
	}
	// A proof is a write, and an idle node writes nothing.
	if counts, err := s.Counts(core.Unproven(ctx)); err == nil {
		c.latest.Store(&countedRows{counts, core.MillisOf(time.Now())})
	}
}
