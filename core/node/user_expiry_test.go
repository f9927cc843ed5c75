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
			events, err := c.Client(i, c.Admin).EventsOf(t.Context(), cfg.Name, admin.EventsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if told := fmt.Sprint(events.Events); !strings.Contains(told, "the user "+core.UserID(a.Public()).Short()+" ended on") || !strings.Contains(told, "2 sessions ended") {
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

// TestReplacedUser: on every node the old key is refused, and the new one has its rooms.
func TestReplacedUser(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, c *nodetest.Cluster, a, b keys.Identity) {
		last := len(c.Configs) - 1
		lost := connect(t, c, last, a)
		fresh := nodetest.Identity(t)
		cl := c.Client(0, c.Admin)
		if _, err := cl.UserReplace(t.Context(), a.Public(), c.Admin.Public()); core.KindOf(err) != core.KindRefused {
			t.Errorf("by an operator's key: %v", err)
		}
		if _, err := cl.UserReplace(t.Context(), a.Public(), b.Public()); core.KindOf(err) != core.KindRefused {
			t.Errorf("by a user with rooms: %v", err)
		}
		if _, err := c.Client(0, c.Viewer).UserReplace(t.Context(), a.Public(), fresh.Public()); core.KindOf(err) != core.KindRefused {
			t.Errorf("by a viewer: %v", err)
		}
		for range 2 { // again it does nothing
			got, err := cl.UserReplace(t.Context(), a.Public(), fresh.Public())
			if err != nil || got.Status != core.UserRevoked || got.New.ID != core.UserID(fresh.Public()) || fmt.Sprint(got.Rekey) != "[sealed]" {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		lost.over(t, 2*time.Second)
		for i, cfg := range c.Configs {
			if _, err := c.Connect(i, a); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s admits the old key: %v", cfg.Name, err)
			}
			nodetest.Wait(t, 5*time.Second, func() error {
				nc, err := c.Connect(i, fresh)
				if err != nil {
					return err
				}
				defer nc.Close()
				if !mayPublish(t, nc, "unibus.room.plain."+fresh.Public()) {
					return errors.New(cfg.Name + " does not let the new key publish in its room")
				}
				return nil
			})
		}
		records, err := cl.Audit(t.Context(), admin.AuditRequest{})
		if err != nil || !strings.Contains(fmt.Sprint(records.Records), "user-replace") || !strings.Contains(fmt.Sprint(records.Records), "to="+fresh.Public()) {
			t.Errorf("the audit: %+v, %v", records, err)
		}
	})
}
