package node

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/bus"
)

// sessionsRequest asks a node for its sessions behind a cursor.
type sessionsRequest struct {
	User  core.UserID          `json:"user,omitempty"`
	Node  string               `json:"node,omitempty"` // "": every node answers
	After *admin.SessionCursor `json:"after,omitempty"`
	Limit int                  `json:"limit"`
}

type sessionsReply struct {
	Node string `json:"node"`
	admin.NodeSessions
}

// Sessions implements the userSessions of core/admin. It asks every node, or one.
func (s *sessions) Sessions(ctx context.Context, r admin.SessionPageRequest, after *admin.SessionCursor) map[string]admin.NodeSessions {
	return askOnline(ctx, s.n, subjectSessions, sessionsRequest{r.User, r.Node, after, r.Limit}, r.Node, admin.NodeSessions{Unknown: true},
		func(reply sessionsReply) (string, admin.NodeSessions) { return reply.Node, reply.NodeSessions })
}

// askOnline asks every node, or the named one, and waits for no more answers than there are nodes online.
func askOnline[Reply, Answer any](ctx context.Context, n *Node, subject string, question any, only string, silent Answer, read func(Reply) (string, Answer)) map[string]Answer {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	wanted := 0
	for _, node := range n.observer.View().Nodes {
		if node.Reachable() {
			wanted++
		}
	}
	if only != "" {
		wanted = 1
	}
	nodes, err := askEveryNode(ctx, n, subject, question, max(wanted, 1), silent, read)
	if err != nil {
		n.log.Warn("the other nodes could not be asked about sessions", "error", err)
	}
	if only != "" {
		answer, known := nodes[only]
		if !known {
			answer = silent
		}
		return map[string]Answer{only: answer}
	}
	return nodes
}

// answerSessions is this node's part of a list.
func (s *sessions) answerSessions(ctx context.Context, body []byte) any {
	var req sessionsRequest
	if err := json.Unmarshal(body, &req); err != nil || req.Node != "" && req.Node != s.n.cfg.Name {
		return nil
	}
	q := bus.SessionQuery{Key: string(req.User), Limit: min(max(req.Limit, 1), admin.MaxSessions)}
	if after := req.After; after != nil {
		q.AfterKey = string(after.User)
		switch {
		case after.Node == s.n.cfg.Name:
			q.AfterID = after.ID
		case after.Node > s.n.cfg.Name: // this node's sessions of that user come before
			q.AfterID = math.MaxUint64
		}
	}
	found, total := s.n.bus.Sessions(q)
	reply := sessionsReply{Node: s.n.cfg.Name, NodeSessions: admin.NodeSessions{Total: total, Sessions: []admin.Session{}}}
	for _, f := range found {
		reply.Sessions = append(reply.Sessions, admin.Session{
			ID: s.sessionID(f.ID).String(), User: core.UserID(f.Key), Node: s.n.cfg.Name, Since: core.MillisOf(f.Since), Address: f.Address,
			Client: f.Name, Lang: f.Lang, Version: f.Version, Rooms: f.Rooms,
		})
	}
	s.addNames(ctx, reply.Sessions)
	return reply
}

// addNames adds the users' names, if this node serves a store. They are as the node has them
// now: a list is no decision, and needs no proof. A node with sessions of users has a store, or had one.
func (s *sessions) addNames(ctx context.Context, list []admin.Session) {
	st, err := s.n.storeHandle.Store()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(core.Unproven(ctx), awaitEndTimeout)
	defer cancel()
	names := map[core.UserID]*string{"": nil}
	for i, one := range list {
		if _, known := names[one.User]; !known && ctx.Err() == nil {
			u, _ := st.User(ctx, one.User) // without a name where it cannot be read
			names[one.User] = u.Name
		}
		list[i].Name = names[one.User]
	}
}

// runLength is how much of the server's id tells its runs apart.
const runLength = 4

func (s *sessions) sessionID(conn uint64) admin.SessionID {
	return admin.SessionID{Node: s.n.cfg.Name, Conn: conn, Run: s.serverRun()}
}

func (s *sessions) serverRun() string {
	id := s.n.bus.ID()
	return id[max(0, len(id)-runLength):]
}

// sessionEndRequest asks a node to end one session, or all of a user.
type sessionEndRequest struct {
	User core.UserID `json:"user,omitempty"`
	Node string      `json:"node,omitempty"`
	Conn uint64      `json:"conn,omitempty"`
	Run  string      `json:"run,omitempty"`
}

type sessionEndReply struct {
	Node string      `json:"node"`
	User core.UserID `json:"user,omitempty"` // whose session it was
	admin.Ended
}

// EndOne implements the userSessions of core/admin.
func (s *sessions) EndOne(ctx context.Context, id admin.SessionID) admin.SessionsEnded {
	out := admin.SessionsEnded{Session: id.String()}
	out.Nodes = askOnline(ctx, s.n, subjectEndSession, sessionEndRequest{Node: id.Node, Conn: id.Conn, Run: id.Run}, id.Node, noAnswer(),
		func(reply sessionEndReply) (string, admin.Ended) {
			out.User = reply.User
			return reply.Node, reply.Ended
		})
	return out
}

// EndAll implements the userSessions of core/admin.
func (s *sessions) EndAll(ctx context.Context, user core.UserID) admin.SessionsEnded {
	return admin.SessionsEnded{User: user, Nodes: askOnline(ctx, s.n, subjectEndSession, sessionEndRequest{User: user}, "", noAnswer(),
		func(reply sessionEndReply) (string, admin.Ended) { return reply.Node, reply.Ended })}
}

func noAnswer() admin.Ended { return admin.Ended{Unknown: true, Reason: "it did not answer in time"} }

// answerEndSession ends sessions of this node. The user is not changed: its client connects again.
func (s *sessions) answerEndSession(_ context.Context, body []byte) any {
	var req sessionEndRequest
	if err := json.Unmarshal(body, &req); err != nil || req.Node != "" && req.Node != s.n.cfg.Name {
		return nil
	}
	reply := sessionEndReply{Node: s.n.cfg.Name, Ended: admin.Ended{At: core.MillisOf(time.Now())}}
	switch id, err := core.ParseUserID(string(req.User)); {
	case err == nil:
		reply.User, reply.Ended.Ended = id, s.n.bus.EndSessions(string(id))
	case req.Run == "" || req.Run == s.serverRun():
		if key, ended := s.n.bus.EndSession(req.Conn); ended {
			reply.User, reply.Ended.Ended = core.UserID(key), 1
		}
	}
	return reply
}
