package node

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/cluster"
)

// The subjects on which nodes talk to each other, in CONTROL. Operators have no rights on them.
const (
	subjectInfo        = "unibus.peer.v1.all.info"        // infoRequest → cluster.Info, from every node
	subjectHeartbeat   = "unibus.peer.v1.all.heartbeat"   // a cluster.Heartbeat from each node, each second
	subjectEnded       = "unibus.peer.v1.all.ended"       // endRequest → endReply, once the node has seen the revocation
	subjectRollout     = "unibus.peer.v1.all.rollout"     // every node answers with its softReply
	subjectSessions    = "unibus.peer.v1.all.sessions"    // sessionsRequest → sessionsReply
	subjectEndSession  = "unibus.peer.v1.all.end-session" // sessionEndRequest → sessionEndReply
	subjectPresent     = "unibus.peer.v1.all.present"     // presenceRequest → presenceReply
	subjectRemoved     = "unibus.peer.v1.all.removed"     // removalRequest → endReply, once the node refuses the key
	subjectMembership  = "unibus.peer.v1.all.membership"  // []core.NodeChange → membershipReply, once the node has them
	subjectRetire      = "unibus.peer.v1.all.retire"      // core.NodeChange → membershipReply, from the named node, which stops
	subjectMaintenance = "unibus.peer.v1.all.maintenance" // []core.Maintenance → membershipReply, once the node has them
	subjectClusterKey  = "unibus.peer.v1.all.cluster-key" // clusterKeyRequest → keyReply, from nodes that have the key
	subjectKeepKey     = "unibus.peer.v1.all.keep-key"    // keyReply → keptReply, once the node keeps the key
	subjectEvents      = "unibus.events.v1"               // a cluster.Event that every node records
)

// peers asks the other nodes, and answers them.
type peers struct {
	conn         *nats.Conn
	size         func() int // nodes of the cluster
	others       func() int // servers beyond them that answer: further ones of a name
	info         func(infoRequest) cluster.Info
	recordEvents func([]cluster.Event)
	hear         func(cluster.Heartbeat)

	// slow are questions whose answer may have to wait. A nil answer is not sent.
	slow  map[string]answerFunc
	slots chan struct{} // bounds the slow questions under way

	subs   []*nats.Subscription
	cancel context.CancelFunc // ends slow answers
}

// answerFunc returns the reply to a question.
type answerFunc func(ctx context.Context, body []byte) any

// slowAnswers is how many slow questions are answered at a time. Further ones get no answer.
const slowAnswers = 64

// peerTimeout bounds what every node is asked or told for a command: an operator waits for it.
const peerTimeout = 2 * time.Second

func (n *Node) openPeers(context.Context) error {
	n.peers = &peers{
		conn: n.conns.peer, size: n.size, others: n.otherRuns, info: n.answerInfo, recordEvents: n.recorder.Record, hear: n.hearHeartbeat, slots: make(chan struct{}, slowAnswers),
		slow: map[string]answerFunc{
			subjectEnded:   n.sessions.answerEnded,
			subjectRemoved: n.answerRemoval,
			subjectRetire:  n.answerRetirement,
			subjectMembership: func(_ context.Context, body []byte) any {
				return answerRecords(n, body, n.addMembership, n.membership.fault)
			},
			subjectMaintenance: func(_ context.Context, body []byte) any {
				return answerRecords(n, body, n.addMaintenance, n.maintenance.fault)
			},
			subjectSessions:   n.sessions.answerSessions,
			subjectEndSession: n.sessions.answerEndSession,
			subjectRollout:    func(ctx context.Context, _ []byte) any { return n.softReply(ctx) },
			subjectClusterKey: n.clusterKey.share,
			subjectKeepKey:    n.clusterKey.keep,
			subjectPresent:    func(_ context.Context, body []byte) any { return n.answerPresence(body) },
		},
	}
	maps.Copy(n.peers.slow, newFileReader(n).answers())
	n.peers.slow[fileSubject(n.cfg.Name, questionBlocks)] = n.answerBlocks
	return n.peers.open()
}

func (n *Node) closePeers(context.Context) error {
	n.peers.close()
	return nil
}

func (p *peers) open() error {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	handlers := map[string]nats.MsgHandler{
		subjectInfo: func(m *nats.Msg) {
			var q infoRequest
			_ = json.Unmarshal(m.Data, &q) // an older node asks nothing in particular
			if body, err := json.Marshal(p.info(q)); err == nil {
				_ = m.Respond(body) // without it the asking node shows this one as silent
			}
		},
		subjectHeartbeat: func(m *nats.Msg) {
			var b cluster.Heartbeat
			if err := json.Unmarshal(m.Data, &b); err == nil {
				p.hear(b)
			}
		},
		subjectEvents: func(m *nats.Msg) {
			var e cluster.Event
			if err := json.Unmarshal(m.Data, &e); err == nil {
				p.recordEvents([]cluster.Event{e})
			}
		},
	}
	for subject, f := range p.slow {
		handlers[subject] = func(m *nats.Msg) { p.serveSlow(ctx, m, f) }
	}
	for subject, f := range handlers {
		sub, err := p.conn.Subscribe(subject, f)
		if err != nil {
			p.close()
			return core.Errorf(core.KindFailed, "the subjects of the other nodes cannot be subscribed to: %w", err)
		}
		p.subs = append(p.subs, sub)
	}
	return nil
}

// serveSlow answers a slow question in a goroutine of its own.
func (p *peers) serveSlow(ctx context.Context, m *nats.Msg, f answerFunc) {
	select {
	case p.slots <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-p.slots }()
		if out := f(ctx, m.Data); out != nil {
			if body, err := json.Marshal(out); err == nil {
				_ = m.Respond(body) // without it the asking node shows this one as unknown
			}
		}
	}()
}

func (p *peers) close() {
	p.cancel()
	for _, s := range p.subs {
		_ = s.Unsubscribe() // fails only if the connection is gone, and the subscription with it
	}
	p.subs = nil
}

// ask asks every node, this one included, until each returns false or ctx ends.
func (p *peers) ask(ctx context.Context, subject string, body []byte, each func(reply []byte) bool) error {
	return cluster.Conn{NATS: p.conn}.RequestMany(ctx, subject, body, each)
}

// askEveryNode returns the answer of each configured node, this one included. A node that
// does not answer before ctx ends has the answer silent. It waits for no more than wanted answers.
func askEveryNode[Reply, Answer any](ctx context.Context, n *Node, subject string, question any, wanted int, silent Answer, read func(Reply) (node string, a Answer)) (map[string]Answer, error) {
	nodes := map[string]Answer{}
	for _, name := range n.sessions.expectedNodes() {
		nodes[name] = silent
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nodes, err
	}
	answers := 0
	err = n.peers.ask(ctx, subject, body, func(data []byte) bool {
		var reply Reply
		if json.Unmarshal(data, &reply) != nil {
			return true
		}
		if name, a := read(reply); name != "" {
			nodes[name] = a
			answers++
		}
		return answers < wanted
	})
	return nodes, err
}

// infoRequest asks a node for its Info, and for what it heard of the nodes that the
// asking one does not hear.
type infoRequest struct {
	Hears []string `json:"hears"` // nil: nothing is to be passed on
}

// infos asks every node, this one included. It waits for all of them, or for those that
// this one hears; nodes that do not answer before ctx ends are missing.
func (p *peers) infos(ctx context.Context, hears []string) ([]cluster.Info, error) {
	body, err := json.Marshal(infoRequest{Hears: hears})
	if err != nil {
		return nil, err
	}
	var out []cluster.Info
	waiting, wanted := slices.Clone(hears), p.size()+p.others()
	err = p.ask(ctx, subjectInfo, body, func(reply []byte) bool {
		var i cluster.Info
		if err := json.Unmarshal(reply, &i); err == nil {
			out = append(out, i)
			waiting = slices.DeleteFunc(waiting, func(name string) bool { return name == i.Name })
		}
		return len(out) < wanted && (len(hears) == 0 || len(waiting) > 0)
	})
	return out, err
}

// announce puts an event into the record of every node.
func (p *peers) announce(e cluster.Event) {
	if body, err := json.Marshal(e); err == nil {
		_ = p.conn.Publish(subjectEvents, body) // without a connection this node is stopping
	}
}
