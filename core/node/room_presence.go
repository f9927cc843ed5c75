package node

import (
	"context"
	"encoding/json"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/control"
)

// roomBus tells operators which users are online, and says in rooms what operators ask for.
type roomBus struct{ n *Node }

const (
	presenceTimeout = 700 * time.Millisecond
	maxPresent      = 16_000 // users in an answer: 59 bytes each in a message of 1 MiB, and as many as a node admits by default
)

// presenceRequest asks a node which users hear the events of a room. A user with a session
// that has not opened the room would not hear of an operator's request.
type presenceRequest struct {
	Room core.RoomID `json:"room"`
}

type presenceReply struct {
	Node  string        `json:"node"`
	Users []core.UserID `json:"users"`
	More  int           `json:"more,omitempty"` // users that the answer has no space for
}

func (n *Node) answerPresence(body []byte) any {
	var req presenceRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil
	}
	in := func(g auth.Grant) bool { return g.Kind == auth.KindUser && g.In(req.Room) }
	keys, more := n.bus.Subscribers(in, control.EventSubject(req.Room), maxPresent)
	reply := presenceReply{Node: n.cfg.Name, Users: make([]core.UserID, len(keys)), More: more}
	for i, key := range keys {
		reply.Users[i] = core.UserID(key)
	}
	return reply
}

// Present implements the roomBus of core/admin. It asks every node, this one included, and waits only for
// as many answers as there are nodes online.
func (b roomBus) Present(ctx context.Context, room core.RoomID) map[string]admin.Present {
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	online := 0
	for _, node := range b.n.observer.View().Nodes {
		if node.Reachable() {
			online++
		}
	}
	nodes, err := askEveryNode(ctx, b.n, subjectPresent, presenceRequest{Room: room}, max(online, 1), admin.Present{Unknown: true},
		func(reply presenceReply) (string, admin.Present) {
			return reply.Node, admin.Present{Users: reply.Users, Unknown: reply.More > 0}
		})
	if err != nil {
		b.n.log.Warn("could not ask the other nodes which users are online", "room", room, "error", err)
	}
	return nodes
}

// Ask implements the roomBus of core/admin. The control service publishes it: the operators' service has no
// right to publish in rooms.
func (b roomBus) Ask(room core.RoomID, epoch core.Epoch, member core.UserID) error {
	return b.n.control.Ask(room, epoch, member)
}

// UserChanged implements the roomBus of core/admin.
func (b roomBus) UserChanged(ctx context.Context, st core.Store, u core.User) {
	b.n.control.UserChanged(ctx, st, u)
}
