package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// decideWithin bounds the decision about one connection. It is shorter than the 2 s that
// nats.go waits for an answer, and than the 2 s after which nats-server sends its first
// PING: clients expect the answer to CONNECT before it.
const decideWithin = 1500 * time.Millisecond

// decideAgain is the wait after a decision that could not be made.
const decideAgain = 50 * time.Millisecond

// isRefusal says whether a decision is a proven no. A refusal is final to many clients:
// nats.go and nats.js close for good after two, although they are told to reconnect for
// ever. A node that cannot decide closes the connection without a word instead, and
// every client tries again by itself after that.
func isRefusal(err error) bool {
	k := core.KindOf(err)
	return k == core.KindRefused || k == core.KindInvalid
}

// decide asks until there is a decision or the time is over. So a client that comes while
// one store takes the place of another is admitted late, and not sent away.
func (a *authAdapter) decide(srv *server.Server, c server.ClientAuthentication, r auth.Request, ses *session) error {
	ctx, cancel := context.WithTimeout(context.Background(), decideWithin)
	defer cancel()
	for {
		err := a.admit(ctx, srv, c, r, ses)
		if err == nil || isRefusal(err) || errors.Is(err, errTooManyConnections) || errors.Is(err, core.ErrElsewhere) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(decideAgain):
		}
		if srv.GetClient(ses.id) == nil { // the server is stopping, or needed the place
			return err
		}
	}
}

// answer tells the client why it is not admitted, as far as it may know: that its
// credentials are refused, that there are too many connections, or nothing. False is what
// nats-server makes a refusal of, unless the connection is closed by then.
func answer(srv *server.Server, c server.ClientAuthentication, err error) bool {
	switch {
	case errors.Is(err, errTooManyConnections):
		registerFull(srv, c)
	case !isRefusal(err):
		_ = srv.DisconnectClientByID(c.GetID()) // fails where it has closed by itself
	}
	return false
}
