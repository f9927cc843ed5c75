package bus

import (
	"time"

	"unibus/core"
	"unibus/core/auth"
)

// drainGrace is how long a client that was told to connect elsewhere may take for it.
const drainGrace = 3 * time.Second

// SetDraining turns users away from this node, or admits them again. A new connection
// of a user is closed without an answer, so that the client tries its next server.
// Operators are admitted as ever: one of them may have to end it.
func (s *Server) SetDraining(on bool) {
	if was := s.auth.draining.Swap(on); was && !on {
		s.auth.sessions.endDrain()
	}
}

// turnAway is the error for a user who connects while this node is drained; nil for others.
func (a *authAdapter) turnAway(r auth.Request, grant auth.Grant) error {
	if !a.draining.Load() || r.Pipe || !isUsers(grant) {
		return nil
	}
	err := core.Errorf(core.KindUnavailable, "this node is in maintenance").WithNext("connect to another node")
	err.Err = core.ErrElsewhere
	return err
}

func isUsers(g auth.Grant) bool { return g.Kind == auth.KindUser || g.Kind == auth.KindAnonymous }

// DrainSessions tells the users' sessions that this node is in lame duck mode, and ends
// those that were told drainGrace ago.
func (s *Server) DrainSessions(now time.Time) {
	srv := s.running()
	if srv == nil {
		return
	}
	tell, end := s.auth.sessions.drain(now)
	for _, id := range tell {
		_ = srv.LDMClientByID(id) // fails for one that is gone, or too old to understand
	}
	for _, id := range end {
		_ = srv.DisconnectClientByID(id) // fails for one that is gone
	}
}

// drain returns the users' sessions that are to be told, and those that are to end.
func (t *sessionTable) drain(now time.Time) (tell, end []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, ses := range t.all {
		switch {
		case !ses.admitted || ses.inProcess || !isUsers(ses.grant):
		case ses.toldAt.IsZero():
			ses.toldAt = now
			tell = append(tell, id)
		case now.Sub(ses.toldAt) >= drainGrace:
			end = append(end, id)
			t.remove(ses)
		}
	}
	return tell, end
}

// endDrain forgets which sessions were told: the next drain tells them again.
func (t *sessionTable) endDrain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ses := range t.all {
		ses.toldAt = time.Time{}
	}
}
