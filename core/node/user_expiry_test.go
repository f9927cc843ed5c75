package node_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// setExpiry gives a user an end at one node, past the services.
func setExpiry(t *testing.T, c *nodetest.Cluster, i int, id keys.Identity, end time.Time) {
	t.Helper()
	at := core.Millis(0)
	if !end.IsZero() {
		at = core.MillisOf(end)
	}
	if _, err := store(t, c, i).SetUserExpiry(t.Context(), core.UserID(id.Public()), at, core.MillisOf(time.Now())); err != nil {
		t.Fatal(err)
	}
}

// TestExpiredSessionsEndOnEveryNode: a user loses the sessions at its end, by the
// clock alone, and is refused on every node until it has more time.
func TestExpiredSessionsEndOnEveryNode(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, c *nodetest.Cluster, a, b keys.Identity) {
		var expiring, others []session
		for i := range c.Configs {
			expiring = append(expiring, connect(t, c, i, a), connect(t, c, i, a))
			others = append(others, connect(t, c, i, b))
		}
		end := time.Now().Add(3 * time.Second)
		setExpiry(t, c, 0, b, end) // more time comes before it is over: the sessions go on
		setExpiry(t, c, 0, a, end)
		setExpiry(t, c, len(c.Configs)-1, b, end.Add(time.Hour))
		for _, s := range expiring {
			s.over(t, time.Until(end.Add(1500*time.Millisecond)))
			if time.Now().Before(end) {
				t.Error("a session ended before its user did")
			}
		}
		for i, cfg := range c.Configs {
			if _, err := c.Connect(i, a); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s admits the expired user: %v", cfg.Name, err)
			}
			events, err := c.Client(i, c.Admin).Events(t.Context(), admin.EventsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if told := fmt.Sprint(events.Events); !strings.Contains(told, "the time of the user "+core.UserID(a.Public()).Short()+" is over") || !strings.Contains(told, "2 sessions ended") {
				t.Errorf("%s has no event of it: %s", cfg.Name, told)
			}
		}
		if _, err := c.Client(len(c.Configs)-1, c.Admin).UserExtend(t.Context(), a.Public(), core.MillisOf(time.Now())); core.KindOf(err) != core.KindInvalid {
			t.Errorf("an end that is over: %v", err)
		}
		if u, err := c.Client(len(c.Configs)-1, c.Admin).UserExtend(t.Context(), a.Public(), 0); err != nil || u.Expires != 0 {
			t.Fatalf("%+v, %v", u, err)
		}
		for i := range c.Configs {
			nodetest.Wait(t, 5*time.Second, func() error {
				nc, err := c.Connect(i, a)
				if err == nil {
					nc.Close()
				}
				return err
			})
		}
		nodetest.Wait(t, 15*time.Second, func() error { // the second user ends within the hour
			st, err := c.Client(0, c.Admin).Status(t.Context())
			if told := fmt.Sprint(st.Findings); err == nil && !strings.Contains(told, "1 user ends within 14 days") {
				err = errors.New("no note about users that end: " + told)
			}
			return err
		})
		for i, s := range others {
			if s.IsClosed() || !s.IsConnected() {
				t.Errorf("the session of a user with more time ended at %s", c.Configs[i].Name)
			}
		}
	})
}
