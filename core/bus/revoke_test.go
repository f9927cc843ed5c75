package bus_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/bus"
)

// delayedAuth delays the first decision, once the directory has answered, until proceed is closed.
type delayedAuth struct {
	bus.Authenticator
	once             *sync.Once
	decided, proceed chan struct{}
}

func delayFirst(a bus.Authenticator) delayedAuth {
	return delayedAuth{a, &sync.Once{}, make(chan struct{}), make(chan struct{})}
}

func (h delayedAuth) Decide(ctx context.Context, r auth.Request) (auth.Grant, error) {
	g, err := h.Authenticator.Decide(ctx, r)
	h.once.Do(func() {
		close(h.decided)
		<-h.proceed
	})
	return g, err
}

// TestRevocationRacesAdmission: a revocation after the directory's answer and before
// the session is admitted ends that session too.
func TestRevocationRacesAdmission(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	d := delayFirst(r.auth)
	s := bus.New(r.config(t, "n1"), d)
	must(t, s.Open(t.Context()))
	closeAtEnd(t, s)
	result := make(chan error, 1)
	go func() {
		_, err := r.dial(t, s, r.a, nats.NoReconnect())
		result <- err
	}()
	<-d.decided // the directory has answered
	r.users.set(r.a, false)
	if n := s.DisconnectUser(r.a.Public()); n != 1 {
		t.Errorf("%d sessions ended, want the one that is being admitted", n)
	}
	close(d.proceed)
	if err := <-result; err == nil {
		t.Error("the user was admitted between decision and revocation")
	}
}

// TestRevocationRacesManyAdmissions: the same at random moments.
func TestRevocationRacesManyAdmissions(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.CertFile, cfg.KeyFile = "", ""
	s := r.open(t, cfg)
	for round := range 20 {
		r.users.set(r.a, true)
		var all sync.WaitGroup
		first := make(chan struct{})
		var once sync.Once
		conns := make([]*nats.Conn, 16)
		for i := range conns {
			all.Go(func() {
				nc, err := nats.Connect(s.ClientURL(), nats.Nkey(r.a.Public(), r.a.Sign), nats.NoReconnect(), nats.Timeout(10*time.Second))
				once.Do(func() { close(first) })
				if err == nil {
					conns[i] = nc
				}
			})
		}
		<-first
		r.users.set(r.a, false)
		s.DisconnectUser(r.a.Public())
		all.Wait()
		for _, nc := range conns {
			if nc != nil {
				eventually(t, "the session to end", nc.IsClosed)
			}
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// TestMembershipRacesAdmission: a user whose rooms change during the decision is admitted with the new ones.
func TestMembershipRacesAdmission(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	d := delayFirst(r.auth)
	s := bus.New(r.config(t, "n1"), d)
	must(t, s.Open(t.Context()))
	closeAtEnd(t, s)
	result := make(chan *nats.Conn, 1)
	go func() {
		nc, err := r.dial(t, s, r.a)
		if err != nil {
			t.Error(err)
		}
		result <- nc
	}()
	<-d.decided
	r.users.join(r.a, "new")
	s.DisconnectWhere(r.a.Public(), func(g auth.Grant) bool { return !g.In("new") })
	close(d.proceed)
	nc := <-result
	if nc == nil {
		return
	}
	if !mayPublish(t, nc, "unibus.room.new."+r.a.Public()) || mayPublish(t, nc, "unibus.room.r."+r.a.Public()) {
		t.Error("the session has the rooms of before")
	}
}

func TestReview(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	gone := make(chan struct{})
	r.mustDial(t, s, r.a, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	b := r.mustDial(t, s, r.b, nats.NoReconnect())
	admin := r.mustDial(t, s, r.admin, nats.NoReconnect())
	if n, unreviewed := s.Review(t.Context(), r.auth.Current); n != 0 || len(unreviewed) > 0 {
		t.Errorf("%d sessions ended, and nothing has changed; not reviewed: %q", n, unreviewed)
	}
	r.users.join(r.a, "r")
	both := []string{r.a.Public(), r.b.Public()}
	slices.Sort(both)
	down := func(context.Context, auth.Grant) (bool, error) {
		return false, core.Errorf(core.KindUnavailable, "down")
	}
	if n, unreviewed := s.Review(t.Context(), down); n != 0 || !slices.Equal(slices.Sorted(slices.Values(unreviewed)), both) {
		t.Errorf("%d sessions ended while the directory could not answer; not reviewed: %q", n, unreviewed)
	}
	if n, err := s.ReviewUser(t.Context(), r.a.Public(), down); n != 0 || core.KindOf(err) != core.KindUnavailable {
		t.Errorf("%d sessions of one user ended while the directory could not answer: %v", n, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n, unreviewed := s.Review(over, r.auth.Current); n != 0 || len(unreviewed) != 2 {
		t.Errorf("%d sessions ended without time for a review; not reviewed: %q", n, unreviewed)
	}
	if n, unreviewed := s.Review(t.Context(), r.auth.Current); n != 1 || len(unreviewed) > 0 {
		t.Errorf("%d sessions ended, want one; not reviewed: %q", n, unreviewed)
	}
	<-gone
	must(t, b.Flush())
	must(t, admin.Flush())
}
