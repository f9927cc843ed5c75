package node

import (
	"context"
	"encoding/json"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/control"
)

func (n *Node) openControl(ctx context.Context) error {
	// The cluster's nonces are shared with the operators' service; the memory of
	// this node's own is not: users must not be able to fill that of operators.
	n.control = control.NewService(control.Config{
		Conn: n.conns.control, Node: n.cfg.Name, Store: &n.holder, Guard: n.newReplay(n.proof.nonces), Prover: n.patientProver(), Quotas: n.quotas(),
		Now:         func() core.Millis { return core.MillisOf(time.Now()) },
		EndSessions: n.endSessions,
		Note:        func(by core.UserID, text string) { eyes{n}.Note(cluster.Note, by.Short(), text) },
		Log:         n.log,
	})
	return n.control.Open(ctx)
}

// quotas are what the settings say, and the defaults for the rest.
func (n *Node) quotas() control.Quotas {
	return control.Quotas{
		Invitations: n.cfg.QuotaInvitations, Rooms: n.cfg.QuotaRooms, Members: n.cfg.QuotaMembers,
		Rekeys: n.cfg.QuotaRekeys, Bytes: int64(n.cfg.QuotaMegabytes) << 20,
	}.OrDefaults()
}

func (n *Node) closeControl(context.Context) error { return n.control.Close() }

// endSessions is what the operators' service does for a revocation, in the words of the control service.
func (n *Node) endSessions(ctx context.Context, u core.User) map[string]control.Ended {
	out := map[string]control.Ended{}
	for name, e := range n.sessions.End(ctx, u) {
		out[name] = control.Ended{Ended: e.Ended, Unknown: e.Unknown}
	}
	return out
}

// onBus is what operators are told of, and may have said in, rooms.
type onBus struct{ n *Node }

const (
	presentWithin = 700 * time.Millisecond
	presentShown  = 2000 // people of one node: two nodes' worth of keys is far below a message
)

// presentRequest asks a node whose sessions are told of what happens in a room:
// who has a session and not the room open would never hear of an operator's ask.
type presentRequest struct {
	Room core.RoomID `json:"room"`
}

type presentReply struct {
	Node  string        `json:"node"`
	Users []core.UserID `json:"users"`
}

func (n *Node) presentHere(body []byte) any {
	var req presentRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil
	}
	in := func(g auth.Grant) bool { return g.Who == auth.WhoUser && g.In(req.Room) }
	keys, _ := n.bus.Present(in, control.EventSubject(req.Room), presentShown)
	reply := presentReply{Node: n.cfg.Name, Users: make([]core.UserID, len(keys))}
	for i, key := range keys {
		reply.Users[i] = core.UserID(key)
	}
	return reply
}

// Present implements admin.Bus: it asks every node, this one included, and waits
// for no more than those that were heard of lately.
func (b onBus) Present(ctx context.Context, room core.RoomID) map[string]admin.Present {
	ctx, cancel := context.WithTimeout(ctx, presentWithin)
	defer cancel()
	nodes := map[string]admin.Present{}
	for _, name := range b.n.sessions.names() {
		nodes[name] = admin.Present{Unknown: true}
	}
	online := 0
	for _, node := range b.n.observer.View().Nodes {
		if node.Online {
			online++
		}
	}
	body, err := json.Marshal(presentRequest{Room: room})
	if err != nil {
		return nodes
	}
	answers := 0
	err = b.n.peers.ask(ctx, subjectPresent, body, func(reply []byte) bool {
		var a presentReply
		if json.Unmarshal(reply, &a) == nil && a.Node != "" {
			nodes[a.Node] = admin.Present{Users: a.Users}
			answers++
		}
		return answers < max(online, 1)
	})
	if err != nil {
		b.n.log.Warn("the other nodes could not be asked who is online", "room", room, "error", err)
	}
	return nodes
}

// Ask implements admin.Bus, as the control service: the operators' own may say nothing in rooms.
func (b onBus) Ask(room core.RoomID, epoch core.Epoch, member core.UserID) error {
	return b.n.control.Ask(room, epoch, member)
}

// UserChanged implements admin.Bus.
func (b onBus) UserChanged(ctx context.Context, st core.Store, u core.User) {
	b.n.control.UserChanged(ctx, st, u)
}
