package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/store/kv"
)

// sessions ends bus users' sessions that have a right which the store no longer
// grants. The watch of the KV store reports each change. Other processes may write to
// a SQLite file, so the file is polled.
type sessions struct {
	n            *Node
	storeChanged atomic.Bool // the store handle publishes another store: every session is reviewed
	expiry       userExpiry
	wake         chan struct{} // run has something to do; a buffer of one

	mu          sync.Mutex
	revocations map[core.UserID]*revocation
	reviewAt    map[core.UserID]time.Time // when a user's rooms are compared again

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
	reviewEvery     = 250 * time.Millisecond // a change of the file, or of rooms, takes effect within a second
	reviewIdle      = time.Second            // likewise, where nothing is due and no file is served
	reviewDelay     = 350 * time.Millisecond // the user first receives the answer to the request that added the room
	reviewTimeout   = 30 * time.Second
	maxRevocations  = 1000                // that are remembered
	awaitEndTimeout = peerTimeout * 3 / 4 // before the asking node gives up
)

func newSessions(n *Node) *sessions {
	return &sessions{n: n, revocations: map[core.UserID]*revocation{}, reviewAt: map[core.UserID]time.Time{}, expiry: newUserExpiry(), wake: make(chan struct{}, 1)}
}

func (n *Node) openSessions(context.Context) error {
	ctx, stop := context.WithCancel(context.Background())
	n.sessions.stop = stop
	n.storeHandle.Watch(func(serves bool) {
		n.sessions.storeChanged.Store(serves)
		n.sessions.expiry.reread()
		signal(n.sessions.wake)
	})
	n.sessions.work.Go(func() { n.sessions.run(ctx) })
	n.sessions.work.Go(func() { n.sessions.runExpiry(ctx) })
	return nil
}

func (n *Node) closeSessions(context.Context) error {
	n.sessions.stop()
	n.sessions.work.Wait()
	return nil
}

// onStoreChange is called by the KV store's watch, after reads have the change.
func (s *sessions) onStoreChange(c kv.Change) {
	if c.User != nil {
		s.expiry.set(c.User.ID, c.User.Expires)
	}
	switch {
	case c.User != nil && c.User.Status == core.UserRevoked:
		s.end(*c.User)
	case c.User != nil: // an anonymous client may be a user now
		s.n.bus.DisconnectWhere(string(c.User.ID), func(g auth.Grant) bool {
			return s.n.cfg.BusAuth != core.BusAuthOff && g.Kind == auth.KindAnonymous
		})
	case c.Member != nil:
		s.memberChanged(*c.Member)
	}
}

// memberChanged renews a user's sessions that have a room too many or too few. A
// session that lacks a room ends a moment later: first its user receives the answer
// to the request that added the room.
func (s *sessions) memberChanged(m core.Member) {
	if m.State == core.MemberInvited {
		return // an invitation gives no right
	}
	if m.State != core.MemberActive {
		s.n.bus.DisconnectWhere(string(m.User), func(g auth.Grant) bool { return g.Kind == auth.KindUser && g.In(m.Room) })
	}
	s.reviewLater(m.User)
}

// reviewLater has a user's rooms compared again. A due review is not put off, because
// a file that is written all the time would put it off forever.
func (s *sessions) reviewLater(id core.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reviewAt) == 0 {
		signal(s.wake)
	}
	if _, due := s.reviewAt[id]; !due {
		s.reviewAt[id] = time.Now().Add(reviewDelay)
	}
}

// endSessionsOfOtherAuthority ends the users' sessions of a node that is no longer a control plane: it
// would not learn of a revocation. Their clients reconnect to a node that admits them.
func (s *sessions) endSessionsOfOtherAuthority(node string) {
	n, _ := s.n.bus.Review(context.Background(), func(_ context.Context, g auth.Grant) (bool, error) { return g.Kind != auth.KindUser, nil })
	if n > 0 {
		s.n.log.Info("users' sessions were ended, because another node is the control plane", "node", node, "sessions", n)
	}
}

// end ends a revoked user's sessions here and adds them to the count of this revocation.
func (s *sessions) end(u core.User) revocation {
	n := s.n.bus.DisconnectUser(string(u.ID))
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.revocations[u.ID]
	if r == nil || r.stamp != u.Updated {
		s.forgetOldest()
		r = &revocation{stamp: u.Updated, at: core.MillisOf(time.Now())}
		s.revocations[u.ID] = r
	}
	if n > 0 {
		r.ended += n
		r.at = core.MillisOf(time.Now())
	}
	return *r
}

// forgetOldest bounds the table. The caller holds mu.
func (s *sessions) forgetOldest() {
	if len(s.revocations) < maxRevocations {
		return
	}
	var oldest core.UserID
	for id, r := range s.revocations {
		if oldest == "" || r.at < s.revocations[oldest].at {
			oldest = id
		}
	}
	delete(s.revocations, oldest)
}

// run reviews sessions after changes that no watch reports, until ctx ends.
func (s *sessions) run(ctx context.Context) {
	var file fileWatch
	for {
		s.review(ctx, &file)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(core.UntilTick(s.pause(&file))):
		}
	}
}

// pause is longer while nothing is due: what makes something due wakes run.
func (s *sessions) pause(file *fileWatch) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if file.path != "" || len(s.reviewAt) > 0 || s.storeChanged.Load() {
		return reviewEvery
	}
	return reviewIdle
}

// review reviews every session after a change of the store, and then the users whose
// review is due. A review that fails is repeated: the change took place, and nothing
// else would remind the node of it.
func (s *sessions) review(ctx context.Context, file *fileWatch) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	path := ""
	if as := s.n.selector.serving(); as.Backend == core.BackendSQLite {
		path = as.File
	}
	written := file.written(path)
	if written {
		s.expiry.reread()
	}
	if s.storeChanged.Swap(false) || written {
		_, unreviewed := s.n.bus.Review(ctx, s.covers)
		for _, key := range unreviewed {
			s.reviewLater(core.UserID(key))
		}
	}
	for _, id := range s.takeDue(time.Now()) {
		if _, err := s.n.bus.ReviewUser(ctx, string(id), s.n.auth.Current); err != nil {
			s.reviewLater(id)
		}
	}
}

// covers is false for a session that has lost a right: it ends at once. One that lacks
// a room ends a little later, as in memberChanged.
func (s *sessions) covers(ctx context.Context, g auth.Grant) (bool, error) {
	ok, err := s.n.auth.Covers(ctx, g)
	if err != nil || !ok {
		return ok, err
	}
	if same, err := s.n.auth.Current(ctx, g); err != nil || !same {
		s.reviewLater(core.UserID(g.Identity))
	}
	return true, nil
}

// takeDue returns the users whose review is due, and removes them from the table.
func (s *sessions) takeDue(now time.Time) []core.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []core.UserID
	for id, at := range s.reviewAt {
		if !now.Before(at) {
			ids = append(ids, id)
			delete(s.reviewAt, id)
		}
	}
	return ids
}

// End implements the userSessions of core/admin. It asks every node, this one included, whether the
// sessions of a revoked user have ended there. The watch here has passed the write of
// this node's store, so Revision is that of the revocation, or a later one.
func (s *sessions) End(ctx context.Context, u core.User) map[string]admin.Ended {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	req := endRequest{User: u.ID, Updated: u.Updated}
	if st, err := s.n.storeHandle.Store(); err == nil {
		if watched, ok := st.(*kv.Store); ok {
			req.Revision = watched.Revision(core.TableUsers)
		}
	}
	nodes, err := askEveryNode(ctx, s.n, subjectEnded, req, s.n.size(), admin.Ended{Unknown: true, Reason: "it did not answer in time"},
		func(reply endReply) (string, admin.Ended) { return reply.Node, reply.Ended })
	if err != nil {
		s.n.log.Warn("the other nodes could not be asked to end sessions", "user", u.ID, "error", err)
	}
	return nodes
}

// expectedNodes are the names of the nodes that were seen, and a placeholder for each that never was:
// its name is not known.
func (s *sessions) expectedNodes() []string {
	var names []string
	for _, node := range s.n.observer.View().Nodes {
		names = append(names, node.Name)
	}
	if len(names) == 0 {
		names = append(names, s.n.cfg.Name)
	}
	for i := len(names); i < s.n.size(); i++ {
		names = append(names, fmt.Sprintf("(never seen %d)", i))
	}
	return names
}

// endRequest asks a node to say that a revoked user has no session there.
type endRequest struct {
	User     core.UserID `json:"user"`
	Updated  core.Millis `json:"updated"`            // of the revocation
	Revision uint64      `json:"revision,omitempty"` // of the users' bucket, with the revocation; 0: none, or from an older release
}

type endReply struct {
	Node string `json:"node"`
	admin.Ended
}

// answerEnded says how many sessions of a revoked user this node ended, once none is left.
func (s *sessions) answerEnded(ctx context.Context, body []byte) any {
	reply := endReply{Node: s.n.cfg.Name}
	var req endRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil
	}
	id, err := core.ParseUserID(string(req.User))
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, awaitEndTimeout)
	defer cancel()
	r, err := s.awaitEnd(ctx, core.User{ID: id, Updated: req.Updated}, req.Revision)
	if err != nil {
		reply.Ended = admin.Ended{Unknown: true, Reason: err.Error()}
		return reply
	}
	reply.Ended = admin.Ended{Ended: r.ended, At: r.at}
	return reply
}

// awaitEnd waits for the watch of the KV store, which ends the sessions. A node with a
// file, or without a store, has no watch: there the request itself ends them. No session
// ends before the store has the revocation, because its client would reconnect.
func (s *sessions) awaitEnd(ctx context.Context, u core.User, revision uint64) (revocation, error) {
	st, err := s.n.storeHandle.Store()
	if err != nil {
		return s.end(u), nil // without a store the node admits no user
	}
	if watched, ok := st.(*kv.Store); ok {
		err := watched.AwaitChanges(ctx, core.TableUsers, revision)
		if ctx.Err() != nil {
			err = s.errNotSeen()
		}
		if err != nil {
			return revocation{}, err
		}
		if r, ok := s.recorded(u); ok {
			return r, nil
		}
		return s.end(u), nil // a new watch skips a revocation that another change of the user has followed
	}
	now, err := st.User(ctx, u.ID)
	if err == nil && (now.Status != core.UserRevoked || now.Updated < u.Updated) {
		err = s.errNotSeen()
	}
	if err != nil {
		return revocation{}, err
	}
	return s.end(now), nil
}

func (s *sessions) errNotSeen() error {
	return core.Errorf(core.KindUnavailable, "%s has not seen the revocation yet", s.n.cfg.Name)
}

// recorded returns what the watch did about a revocation.
func (s *sessions) recorded(u core.User) (revocation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.revocations[u.ID]
	if r == nil || r.stamp != u.Updated {
		return revocation{}, false
	}
	return *r, true
}

// alarmed logs and records what the KV store's watch does not believe.
func (s *sessions) alarmed(e *core.Error) {
	s.n.log.Error("the control plane raised an alarm", "error", e, "next", e.Next)
	if s.n.peers != nil {
		clusterView{s.n}.Note(cluster.Critical, "authority", e.Text)
	}
}
