package binding

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Dial tries every server once, in the order of the list. It returns the most precise error.
// nats.Connect with the whole list returns the last server's error alone, and none of it if
// that server is not there. A refused certificate would then read as "no servers available".
// Final is false while a server is silent: it may come, and admit this identity.
func Dial(ctx context.Context, servers []string, opts []nats.Option) (nc *nats.Conn, final bool, worst error) {
	if slices.ContainsFunc(servers, func(s string) bool { return strings.HasPrefix(s, "tls://") }) {
		opts = append(slices.Clone(opts), nats.Secure()) // as nats.Connect does for a list with one such URL
	}
	silent := false
	for _, server := range servers {
		nc, err := Connect(ctx, server, opts)
		if err == nil {
			return nc, true, nc.SetServerPool(servers) // fails only on a closed connection
		}
		silent = silent || tells(err) == 0
		if worst == nil || tells(err) > tells(worst) {
			worst = err
		}
	}
	return nil, !silent || tells(worst) > 1, worst
}

// Connect is nats.Connect that gives up when ctx ends: a server that hangs accepts
// connections and says nothing. It closes a connection that comes later.
func Connect(ctx context.Context, server string, opts []nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	dialed := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(server, opts...)
		dialed <- result{nc, err}
	}()
	select {
	case r := <-dialed:
		return r.nc, r.err
	case <-ctx.Done():
		go func() {
			if r := <-dialed; r.err == nil {
				r.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// tells ranks the errors of several servers. A refused login comes first: that server was
// proven to be a node. One of TLS comes before silence, which a restart may cause.
func tells(err error) int {
	switch {
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(err.Error(), "Authorization Violation"):
		return 2
	case errors.Is(err, nats.ErrTLS), errors.Is(err, nats.ErrSecureConnWanted), errors.Is(err, nats.ErrSecureConnRequired):
		return 1
	}
	return 0
}
