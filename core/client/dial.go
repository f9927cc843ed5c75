package client

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/nats-io/nats.go"

	"unibus/core/binding"
)

// dialAny tries every server once, in random order. Final is false while a server is
// silent: it may come.
func dialAny(ctx context.Context, servers []string, opts []nats.Option) (nc *nats.Conn, final bool, err error) {
	order := slices.Clone(servers)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return binding.Dial(ctx, order, opts)
}
