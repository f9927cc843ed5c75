package node

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/bus"
	"unibus/core/keys"
)

// identities are the node's own keys. They are made at every start, never leave memory,
// and are admitted from the in-process pipe alone.
type identities struct {
	system  keys.Identity // observes the servers, over SYS
	store   keys.Identity // the KV store: everything in CONTROL
	admin   keys.Identity // answers operators: may publish to inboxes and events alone
	peer    keys.Identity // asks the other nodes, and answers them
	audit   keys.Identity // appends to the audit
	events  keys.Identity // appends to the history of events
	control keys.Identity // answers users: may publish to inboxes and rooms' events alone
}

func (n *Node) openIdentities(context.Context) error {
	grants := map[string]auth.Grant{}
	for _, part := range []struct {
		id    *keys.Identity
		grant auth.Grant
	}{
		{&n.identities.system, auth.GrantSystem()},
		{&n.identities.store, auth.GrantStore()},
		{&n.identities.admin, auth.GrantAdminService()},
		{&n.identities.peer, auth.GrantPeer()},
		{&n.identities.audit, auth.GrantAudit(n.cfg.Name)},
		{&n.identities.events, auth.GrantEvents(n.cfg.Name)},
		{&n.identities.control, auth.GrantControlService()},
	} {
		id, err := keys.GenerateIdentity()
		if err != nil {
			return core.Errorf(core.KindFailed, "the node's own keys cannot be made: %w", err)
		}
		*part.id = id
		grants[id.Public()] = part.grant
	}
	n.auth = auth.New(auth.Config{
		Mode: n.cfg.BusAuth, Operators: n.cfg.Operators, ViewerVerbs: viewerVerbs(), Internal: grants, Users: &n.storeHandle,
		OnSoft: func(key, remote string, reason *core.Error) {
			if n.soft.count(key, remote, reason, time.Now()) { // a client that reconnects all the time is counted, not logged
				n.log.Warn("admitted, would be denied under enforce", "key", key, "remote", remote, "reason", reason)
			}
		},
	})
	n.bus = bus.New(n.busConfig(), n.auth)
	return nil
}

// viewerVerbs are the verbs that a viewer may send. The server refuses others before the service does.
func viewerVerbs() []string {
	var verbs []string
	for v, rule := range admin.Rules() {
		if rule.Role == core.OperatorViewer {
			verbs = append(verbs, string(v))
		}
	}
	return verbs
}
