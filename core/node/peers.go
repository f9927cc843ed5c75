package node

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"sync"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/config"
)

// What nodes tell each other, in CONTROL; operators have no rights on these subjects.
const (
	subjectInfo    = "unibus.peer.v1.all.info"    // every node answers with its cluster.Info
	subjectEnded   = "unibus.peer.v1.all.ended"   // endRequest → endReply, once the node has seen the revocation
	subjectRollout = "unibus.peer.v1.all.rollout" // every node answers with its softReply
	subjectPresent = "unibus.peer.v1.all.present" // presentRequest → presentReply
	subjectRemoved = "unibus.peer.v1.all.removed" // removedRequest → endReply, once the node refuses the key
	subjectEvents  = "unibus.events.v1"           // a cluster.Event that every node records
)

// peers answers the other nodes and asks them.
type peers struct {
	conn   *nats.Conn
	size   int // configured nodes
	info   func() cluster.Info
	record func([]cluster.Event)

	// slow are questions whose answer may have to wait for the store; nil: no answer.
	slow  map[string]func(ctx context.Context, body []byte) any
	slots chan struct{} // bounds those under way

	mu   sync.Mutex
	subs []*nats.Subscription
	end  context.CancelFunc
}

// slowPeers is how many slow questions are answered at a time; who asks more is left without an answer.
const slowPeers = 64

func (n *Node) openPeers(context.Context) error {
	n.peers = &peers{
		conn: n.conns.peer, size: n.cfg.Size(), info: n.info, record: n.recorder.Record, slots: make(chan struct{}, slowPeers),
		slow: map[string]func(context.Context, []byte) any{
			subjectEnded:   n.sessions.answer,
			subjectRemoved: n.answerRemoved,
			subjectRollout: func(ctx context.Context, _ []byte) any { return n.rolloutHere(ctx) },
			subjectKey:     n.clusterKey.share,
			subjectPresent: func(_ context.Context, body []byte) any { return n.presentHere(body) },
		},
	}
	maps.Copy(n.peers.slow, newFileReader(n).answers())
	return n.peers.open()
}

func (n *Node) closePeers(context.Context) error { return n.peers.close() }

func (p *peers) open() error {
	ctx, end := context.WithCancel(context.Background())
	p.end = end
	handlers := map[string]nats.MsgHandler{
		subjectInfo: func(m *nats.Msg) {
			if body, err := json.Marshal(p.info()); err == nil {
				_ = m.Respond(body) // who asked waits until its deadline and shows us as silent
			}
		},
		subjectEvents: func(m *nats.Msg) {
			var e cluster.Event
			if err := json.Unmarshal(m.Data, &e); err == nil {
				p.record([]cluster.Event{e})
			}
		},
	}
	for subject, f := range p.slow {
		handlers[subject] = func(m *nats.Msg) { p.answer(ctx, m, f) }
	}
	for subject, f := range handlers {
		sub, err := p.conn.Subscribe(subject, f)
		if err != nil {
			return errors.Join(core.Errorf(core.KindFailed, "the other nodes cannot be listened to: %w", err), p.close())
		}
		p.mu.Lock()
		p.subs = append(p.subs, sub)
		p.mu.Unlock()
	}
	return nil
}

// answer answers a slow question beside the others.
func (p *peers) answer(ctx context.Context, m *nats.Msg, f func(context.Context, []byte) any) {
	select {
	case p.slots <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-p.slots }()
		if out := f(ctx, m.Data); out != nil {
			if body, err := json.Marshal(out); err == nil {
				_ = m.Respond(body) // who asked shows us as unknown
			}
		}
	}()
}

// ask asks every node, this one included, until each returns false or ctx ends.
func (p *peers) ask(ctx context.Context, subject string, body []byte, each func(reply []byte) bool) error {
	return cluster.Conn{NATS: p.conn}.RequestMany(ctx, subject, body, each)
}

func (p *peers) close() error {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs {
		_ = s.Unsubscribe() // fails only where the connection is gone, and the subscription with it
	}
	p.subs = nil
	return nil
}

// infos asks every node, this one included; those that are silent until ctx ends are missing.
func (p *peers) infos(ctx context.Context) ([]cluster.Info, error) {
	var out []cluster.Info
	err := cluster.Conn{NATS: p.conn}.RequestMany(ctx, subjectInfo, nil, func(reply []byte) bool {
		var i cluster.Info
		if err := json.Unmarshal(reply, &i); err == nil {
			out = append(out, i)
		}
		return len(out) < p.size
	})
	return out, err
}

// announce puts an event into the record of every node.
func (p *peers) announce(e cluster.Event) {
	if body, err := json.Marshal(e); err == nil {
		_ = p.conn.Publish(subjectEvents, body) // without a connection this node is stopping
	}
}

// info is what this node says of itself.
func (n *Node) info() cluster.Info {
	i := cluster.Info{
		Name: n.cfg.Name, Version: n.cfg.Version, PID: os.Getpid(),
		BusAuth: n.cfg.BusAuth, TLS: n.cfg.TLS(), Listen: n.bus.Addr(), Loopback: config.Loopback(n.cfg.Listen),
		Store: n.cfg.Store, Replicas: n.cfg.Replicas, Serving: n.selector.serving(), SyncWrites: true,
		ProvenMS: n.selector.proofAge(), Ready: n.selector.selection().rowsReady,
	}
	if entry, err := n.journal.Load(); err == nil {
		i.Journal = entry.Authority
	}
	if until, err := n.bus.CertUntil(); err == nil && !until.IsZero() {
		i.CertUntil = core.MillisOf(until)
	}
	for _, c := range n.bus.Channels() {
		i.Channels = append(i.Channels, c.String())
	}
	q := n.quotas()
	i.Quotas = map[string]int{
		"quota-invitations": q.Invitations, "quota-rooms": q.Rooms, "quota-members": q.Members, "quota-rekeys": q.Rekeys, "quota-megabytes": int(q.Bytes >> 20),
	}
	i.ClusterKey, i.OwnKey = n.clusterKey.Public(), n.clusterKey.conflict()
	i.Fingerprint = n.fingerprint.text()
	i.Operators = n.operatorsInfo()
	clients := n.bus.Clients()
	i.Sessions = &clients
	if free, err := freeBytes(n.cfg.Data); err == nil {
		i.DiskFree = &free
	}
	return i
}

// activeFlags is what a node runs, in the names of the declared flags.
func activeFlags(i cluster.Info) map[string]string {
	out := map[string]string{}
	active := config.Flags{BusAuth: i.BusAuth, BusTLS: i.TLS, Decentralized: i.Serving.Backend == core.BackendKV}
	for _, f := range active.List() {
		out[f.Name] = f.Value
	}
	return out
}
