package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// While three quarters of the connections are in use, whoever has not said who
// they are within introduceWithin makes room. Otherwise somebody who opens
// connections and says nothing would keep good users out for as long as the
// authentication timeout, over and over.
const (
	doormanEvery    = 250 * time.Millisecond
	introduceWithin = time.Second
)

// doorman runs until ctx ends.
func (s *Server) doorman(ctx context.Context, srv *server.Server) {
	tick := time.NewTicker(doormanEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if srv.NumClients() < s.cfg.Limits.Connections*3/4 {
			continue
		}
		if n := s.gate.clear(srv, s.cfg.Limits.Connections, time.Now()); n > 0 {
			s.log.Warn("the connections are nearly used up: those that did not say who they are were closed", "closed", n)
		}
	}
}

// clear closes the connections that have not been entered into the table, which
// they are as soon as they send their credentials.
func (g *gate) clear(srv *server.Server, most int, now time.Time) int {
	info, err := srv.Connz(&server.ConnzOptions{Limit: most + 1})
	if err != nil {
		return 0 // the server is stopping
	}
	n := 0
	for _, c := range info.Conns {
		if now.Sub(c.Start) > introduceWithin && !g.table.has(c.Cid) && srv.DisconnectClientByID(c.Cid) == nil {
			n++
		}
	}
	return n
}

func (t *sessions) has(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[id] != nil
}
