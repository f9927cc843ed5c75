package core

import (
	"context"
	"time"
)

type asOfKey struct{}

// AsOf lets the reads under ctx share their proofs. Each still sees everything
// that was acknowledged before at, and its own caller's later writes, but perhaps
// no later write of others. A service calls it with the moment at which a request
// came in: no answer owes its caller more than that, and a request that reads five
// records pays for one proof instead of five.
//
// A caller that reads again because a write met a newer revision moves at to that
// moment.
func AsOf(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, asOfKey{}, at)
}

// AsOfTime returns the moment given to AsOf, false where it was not called.
func AsOfTime(ctx context.Context) (at time.Time, ok bool) {
	at, ok = ctx.Value(asOfKey{}).(time.Time)
	return at, ok
}

type unprovenKey struct{}

// Unproven lets the reads under ctx take what this node has seen, without proof
// and without a write: for screens that refresh all the time. No decision may rest
// on them.
func Unproven(ctx context.Context) context.Context {
	return context.WithValue(ctx, unprovenKey{}, true)
}

// IsUnproven is true where Unproven was called.
func IsUnproven(ctx context.Context) bool {
	yes, _ := ctx.Value(unprovenKey{}).(bool)
	return yes
}
