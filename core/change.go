package core

import (
	"context"
	"sync/atomic"
)

// Change follows the writes of one request or of one method of a Store, so that its error
// says whether anything can have been done. A change of several steps holds the changes of
// its steps: a step's write counts for all around it.
type Change struct {
	around *Change // nil for the outermost
	sent   atomic.Bool
}

type changeKey struct{}

// BeginChange begins to follow the writes under the context that it returns.
func BeginChange(ctx context.Context) (context.Context, *Change) {
	c := &Change{}
	c.around, _ = ctx.Value(changeKey{}).(*Change)
	return context.WithValue(ctx, changeKey{}, c), c
}

// IsPartOfChange is true under a context that BeginChange has returned: the work is for a
// caller, and not a store's own repair.
func IsPartOfChange(ctx context.Context) bool { return ctx.Value(changeKey{}) != nil }

// WriteSent is for stores: a write under ctx was done, or may have been done. A write that
// was refused, or that no server got, is none.
func WriteSent(ctx context.Context) {
	c, _ := ctx.Value(changeKey{}).(*Change)
	for ; c != nil; c = c.around {
		c.sent.Store(true)
	}
}

// Sent is true once anything may have been written.
func (c *Change) Sent() bool { return c.sent.Load() }

// Explain returns the change's error with what became of it. A failure before the first
// write is OutcomeNone, so that the client repeats the request by itself. After a write
// nothing is: a later step that did nothing says so of itself alone.
func (c *Change) Explain(err error) error {
	switch {
	case KindOf(err) != KindUnavailable:
		return err
	case !c.Sent():
		return ReadError(err)
	case OutcomeOf(err) == OutcomeUnknown:
		return err
	}
	e := AsError(err).WithOutcome(OutcomeUnknown)
	e.Err = err
	return e
}

// Done is Explain for a deferred call: it changes the error that the caller returns.
func (c *Change) Done(err *error) { *err = c.Explain(*err) }
