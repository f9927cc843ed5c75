package bus

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// fullSweepEvery bounds how often a full table is swept for a user: a full node must
// not spend its time on connections that it refuses.
const fullSweepEvery = 50 * time.Millisecond

// accountFull admits no connection. nats-server tells a client that is registered
// there that there are too many connections. Clients try again after that; after two
// refusals of their credentials many never do.
const accountFull = "FULL"

// errTooManyConnections is the cause of a refusal by --max-connections.
var errTooManyConnections = errors.New("no connection is free")

// registerFull makes nats-server tell the client that there are too many connections.
func registerFull(srv *server.Server, c server.ClientAuthentication) {
	if acc, err := srv.LookupAccount(accountFull); err == nil {
		c.RegisterUser(&server.User{Account: acc})
	}
}

// checkLimit refuses a connection with this grant where --max-connections is reached.
// Some connections are reserved for operators; the process's own are not counted. The
// limit is checked after the decision, because any client can present an operator's
// key that it does not own. The caller holds mu.
func (t *sessionTable) checkLimit(srv *server.Server, ses *session, grant auth.Grant) error {
	if ses.inProcess || t.hasFree(grant) {
		return nil
	}
	if now := time.Now(); grant.Kind == auth.KindOperator || now.Sub(t.swept) >= fullSweepEvery {
		t.swept = now
		t.sweep(srv, t.all)
	}
	if t.hasFree(grant) {
		return nil
	}
	if grant.Kind == auth.KindOperator {
		return core.Errorf(core.KindUnavailable, "%w: all %d of this node (--max-connections) are in use", errTooManyConnections, t.limits.Connections).
			WithNext("close some of them, or raise --max-connections")
	}
	return core.Errorf(core.KindUnavailable, "%w: users have %d of %d (--max-connections), and the other %d are reserved for operators",
		errTooManyConnections, t.userCount, t.limits.Connections, t.limits.Connections-t.userCount).
		WithNext("close some of them, or raise --max-connections")
}

func (t *sessionTable) hasFree(grant auth.Grant) bool {
	if t.userCount+t.operatorCount >= t.limits.Connections {
		return false
	}
	return grant.Kind == auth.KindOperator || t.userCount < t.limits.Connections-t.limits.reservedForOperators()
}

// countOf is the count to which a grant belongs. The caller holds mu.
func (t *sessionTable) countOf(grant auth.Grant) *int {
	if grant.Kind == auth.KindOperator {
		return &t.operatorCount
	}
	return &t.userCount
}
