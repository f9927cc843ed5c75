package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// dialAny tries every server once, in random order. It returns the error that says most:
// nats.Connect with all of them returns the last server's error alone, and none at all if
// that one is not there, so that a refused certificate would read as "no servers available".
// Final is false while a server is silent: it may come, and admit this user.
func dialAny(ctx context.Context, servers []string, opts []nats.Option) (nc *nats.Conn, final bool, worst error) {
	order := slices.Clone(servers)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if slices.ContainsFunc(order, func(s string) bool { return strings.HasPrefix(s, "tls://") }) {
		opts = append(slices.Clone(opts), nats.Secure()) // as nats.Connect does for a list with one such URL
	}
	silent := false
	for _, server := range order {
		nc, err := dial(ctx, server, opts)
		if err == nil {
			return nc, true, nc.SetServerPool(order) // fails only on a closed connection
		}
		silent = silent || tells(err) == 0
		if worst == nil || tells(err) > tells(worst) {
			worst = err
		}
	}
	return nil, !silent || tells(worst) > 1, worst
}

// tells ranks the errors of several servers. A refused login comes first: that server was
// proven to be a node. One of TLS comes before silence, which another server may have caused
// by a restart.
func tells(err error) int {
	switch {
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(err.Error(), "Authorization Violation"):
		return 2
	case errors.Is(err, nats.ErrTLS), errors.Is(err, nats.ErrSecureConnWanted), errors.Is(err, nats.ErrSecureConnRequired):
		return 1
	}
	return 0
}
