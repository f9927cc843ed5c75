package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/store/kv"
)

// sessions ends those of bus users whom the store no longer grants what they
// have. KV tells of each change; the SQLite file, which other processes may
// write too, is looked at.
type sessions struct {
	n       *Node
	renewed atomic.Bool // the holder publishes another store: everything is looked at again

	mu    sync.Mutex
	ended map[core.UserID]*revocation
	later map[core.UserID]time.Time // whose rooms are compared again, and when

	stop context.CancelFunc
	work sync.WaitGroup
}

// revocation is what this node did about one.
type revocation struct {
	stamp core.Millis // the user's Updated when it was revoked
	ended int
	at    core.Millis
}

const (
	reviewEvery  = 250 * time.Millisecond // a change of the file, or of rooms, counts within a second
	reviewLater  = 350 * time.Millisecond // the index of a user's rooms is written after the member
	reviewWithin = 30 * time.Second
	keptEnded    = 1000 // revocations that are remembered
	endWithin    = 2 * time.Second
	seeEvery     = 20 * time.Millisecond
)

func newSessions(n *Node) *sessions {
	return &sessions{n: n, ended: map[core.UserID]*revocation{}, later: map[core.UserID]time.Time{}}
}

func (n *Node) openSessions(context.Context) error {
	ctx, stop := context.WithCancel(context.Background())
	n.sessions.stop = stop
	n.holder.Watch(func(full bool) { n.sessions.renewed.Store(full) })
	n.sessions.work.Go(func() { n.sessions.run(ctx) })
	return nil
}

func (n *Node) closeSessions(context.Context) error {
	n.sessions.stop()
	n.sessions.work.Wait()
	return nil
}

// changed is told by the KV store's watch, after reads have the change.
func (s *sessions) changed(c kv.Change) {
	switch {
	case s.n.bus == nil:
	case c.User != nil && c.User.Status == core.UserRevoked:
		s.end(*c.User)
	case c.User != nil: // whom nobody vouched for may have been added
		s.n.bus.DisconnectWhere(string(c.User.ID), func(g auth.Grant) bool {
			return s.n.cfg.BusAuth != core.BusAuthOff && g.Who == auth.WhoAnonymous
		})
	case c.Member != nil:
		s.moved(*c.Member)
	}
}

// moved renews a user's sessions that have a room too many or too few. Those
// that lack one wait a moment: whoever made the room is told so first.
func (s *sessions) moved(m core.Member) {
	if m.State == core.MemberInvited {
		return // nothing has changed for them yet
	}
	if m.State != core.MemberActive {
		s.n.bus.DisconnectWhere(string(m.User), func(g auth.Grant) bool { return g.Who == auth.WhoUser && g.In(m.Room) })
	}
	s.renewLater(m.User)
}

// renewLater has a user's rooms compared again.
func (s *sessions) renewLater(id core.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, due := s.later[id]; !due { // a file that is written all the time must not put it off for ever
		s.later[id] = time.Now().Add(reviewLater)
	}
}

// elsewhere ends the users' sessions of a node that is no longer a control plane:
// it would not hear of what is changed there. Their clients go where they are admitted.
func (s *sessions) elsewhere(node string) {
	if s.n.bus == nil {
		return
	}
	n := s.n.bus.Review(context.Background(), func(_ context.Context, g auth.Grant) (bool, error) { return g.Who != auth.WhoUser, nil })
	if n > 0 {
		s.n.log.Info("users' sessions were ended, because another node is the control plane", "node", node, "sessions", n)
	}
}

// end ends a revoked user's sessions here and adds them up for this revocation.
func (s *sessions) end(u core.User) revocation {
	n := s.n.bus.DisconnectUser(string(u.ID))
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ended[u.ID]
	if r == nil || r.stamp != u.Updated {
		s.forgetOldest()
		r = &revocation{stamp: u.Updated, at: core.MillisOf(time.Now())}
		s.ended[u.ID] = r
	}
	if n > 0 {
		r.ended += n
		r.at = core.MillisOf(time.Now())
	}
	return *r
}

// forgetOldest bounds the table. The caller holds mu.
func (s *sessions) forgetOldest() {
	if len(s.ended) < keptEnded {
		return
	}
	var oldest core.UserID
	for id, r := range s.ended {
		if oldest == "" || r.at < s.ended[oldest].at {
			oldest = id
		}
	}
	delete(s.ended, oldest)
}

// run looks at what nobody tells of, until ctx ends.
func (s *sessions) run(ctx context.Context) {
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	var file fileWatch
	for {
		s.look(ctx, &file)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *sessions) look(ctx context.Context, file *fileWatch) {
	if s.n.bus == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reviewWithin)
	defer cancel()
	path := ""
	if as := s.n.selector.serving(); as.Backend == core.BackendSQLite {
		path = as.File
	}
	written := file.written(path)
	if s.renewed.Swap(false) || written {
		s.n.bus.Review(ctx, s.covers)
		return
	}
	for _, id := range s.due(time.Now()) {
		s.n.bus.ReviewUser(ctx, string(id), s.n.auth.Current)
	}
}

// covers ends the sessions of those who lost something at once, and of those who
// gained a room a little later: whoever made it is told so first.
func (s *sessions) covers(ctx context.Context, g auth.Grant) (bool, error) {
	ok, err := s.n.auth.Covers(ctx, g)
	if err != nil || !ok {
		return ok, err
	}
	if same, err := s.n.auth.Current(ctx, g); err == nil && !same {
		s.renewLater(core.UserID(g.Identity))
	}
	return true, nil
}

func (s *sessions) due(now time.Time) []core.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []core.UserID
	for id, at := range s.later {
		if !now.Before(at) {
			ids = append(ids, id)
			delete(s.later, id)
		}
	}
	return ids
}

// fileWatch tells whether a SQLite file was written since the last question, by
// any process: a commit goes into the file or the log beside it.
type fileWatch struct {
	path  string
	stamp [2]fileStamp
	again bool // it was written a moment ago, perhaps in the middle of the last look
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// written is asked with "" while no file is served.
func (w *fileWatch) written(path string) bool {
	var now [2]fileStamp
	for i, p := range []string{path, path + "-wal"} {
		if st, err := os.Stat(p); err == nil && path != "" {
			now[i] = fileStamp{st.ModTime(), st.Size()}
		}
	}
	changed := w.path != path || w.stamp != now
	before := w.again
	w.path, w.stamp, w.again = path, now, changed
	return path != "" && (changed || before)
}

// End implements admin.Sessions: it asks every node, this one included.
func (s *sessions) End(ctx context.Context, u core.User) map[string]admin.Ended {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	nodes := map[string]admin.Ended{}
	for _, name := range s.names() {
		nodes[name] = admin.Ended{Unknown: true, Reason: "it did not answer in time"}
	}
	body, err := json.Marshal(endRequest{User: u.ID, Updated: u.Updated})
	if err != nil {
		return nodes
	}
	answers := 0
	err = s.n.peers.ask(ctx, subjectEnded, body, func(reply []byte) bool {
		var a endReply
		if json.Unmarshal(reply, &a) == nil && a.Node != "" {
			nodes[a.Node] = a.Ended
			answers++
		}
		return answers < s.n.cfg.Size()
	})
	if err != nil {
		s.n.log.Warn("the other nodes could not be asked to end sessions", "user", u.ID, "error", err)
	}
	return nodes
}

// names are the configured nodes; of one that was never seen nobody knows the name.
func (s *sessions) names() []string {
	var names []string
	for _, node := range s.n.observer.View().Nodes {
		names = append(names, node.Name)
	}
	if len(names) == 0 {
		names = append(names, s.n.cfg.Name)
	}
	for i := len(names); i < s.n.cfg.Size(); i++ {
		names = append(names, fmt.Sprintf("(never seen %d)", i))
	}
	return names
}

// endRequest asks a node to say that a revoked user has no session there.
type endRequest struct {
	User    core.UserID `json:"user"`
	Updated core.Millis `json:"updated"` // of the revocation
}

type endReply struct {
	Node string `json:"node"`
	admin.Ended
}

// answer waits until this node's own store has the revocation: sessions that
// are ended before would come back.
func (s *sessions) answer(ctx context.Context, body []byte) any {
	reply := endReply{Node: s.n.cfg.Name}
	var req endRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil
	}
	id, err := core.ParseUserID(string(req.User))
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, endWithin*3/4)
	defer cancel()
	u, err := s.seen(ctx, id, req.Updated)
	if err != nil {
		reply.Ended = admin.Ended{Unknown: true, Reason: err.Error()}
		return reply
	}
	r := s.end(u)
	reply.Ended = admin.Ended{Ended: r.ended, At: r.at}
	return reply
}

// seen returns the user once this node's store has it revoked. A node without a
// store admits nobody, and ends what it has.
func (s *sessions) seen(ctx context.Context, id core.UserID, updated core.Millis) (core.User, error) {
	tick := time.NewTicker(seeEvery)
	defer tick.Stop()
	for {
		st, err := s.n.holder.Store()
		if err != nil {
			return core.User{ID: id, Updated: updated}, nil
		}
		u, err := st.User(ctx, id)
		if err == nil && u.Status == core.UserRevoked && u.Updated >= updated {
			return u, nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = core.Errorf(core.KindUnavailable, "%s has not seen the revocation yet", s.n.cfg.Name)
			}
			return u, err
		case <-tick.C:
		}
	}
}

// alarmed logs and records what the KV store's guard found.
func (s *sessions) alarmed(e *core.Error) {
	s.n.log.Error("the control plane raised an alarm", "error", e, "next", e.Next)
	if s.n.peers != nil {
		clusterView{s.n}.Note(cluster.Critical, "authority", e.Text)
	}
}
