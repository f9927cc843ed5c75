package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// measuringClient notes what each request for a page of users or rooms costs.
type measuringClient struct {
	*admin.Client
	lock  sync.Mutex
	bytes int           // of the largest answer
	took  time.Duration // of the slowest one
	count int
}

func (m *measuringClient) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	return measured(ctx, m, r, m.Client.UserPage)
}

func (m *measuringClient) RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error) {
	return measured(ctx, m, r, m.Client.RoomPage)
}

func measured[R, P any](ctx context.Context, m *measuringClient, r R, fetch func(context.Context, R) (P, error)) (P, error) {
	began := time.Now()
	p, err := fetch(ctx, r)
	took := time.Since(began)
	b, _ := json.Marshal(p) // as the node does
	m.lock.Lock()
	defer m.lock.Unlock()
	m.bytes, m.took, m.count = max(m.bytes, len(b)), max(m.took, took), m.count+1
	return p, err
}

// startMeasured is a console on a node that serves what a SQLite file has.
func startMeasured(t *testing.T, s core.Snapshot) (*tuitest.Terminal, *measuringClient) {
	t.Helper()
	db := filepath.Join(t.TempDir(), "seed", "unibus.db")
	nodetest.Seed(t, db, s)
	p := nodetest.StartProcesses(t, programs.Program(t, "unibusd"), nodetest.Config{Nodes: 1, SeedDB: db})
	cl := &measuringClient{Client: p.Client()}
	term := tuitest.StartTerminal(tui.Config{Client: cl, Version: "test"}, 120, 40)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Errorf("the console ended with %v", err)
		}
	})
	waitFor(t, term, "live from n1")
	return term, cl
}

// step is a key or text that an operator types, and the screen that follows.
type step struct{ keys, text string }

// assertSteps: each shows its text soon, and no answer is larger than the window needs.
func assertSteps(t *testing.T, term *tuitest.Terminal, cl *measuringClient, steps []step) {
	t.Helper()
	for _, s := range steps {
		began := time.Now()
		term.Press(s.keys)
		waitFor(t, term, s.text)
		took := time.Since(began)
		t.Logf("%s: %q after %s", s.keys, s.text, took.Round(time.Millisecond))
		if took > 2*time.Second {
			t.Errorf("%s: %q came after %s", s.keys, s.text, took)
		}
	}
	cl.lock.Lock()
	defer cl.lock.Unlock()
	t.Logf("%d requests; the largest answer has %d bytes, the slowest took %s", cl.count, cl.bytes, cl.took.Round(time.Millisecond))
	if cl.bytes > 60_000 {
		t.Errorf("an answer has %d bytes", cl.bytes)
	}
}

// sampleUsers are users with an encryption key each, and some rooms of one of them.
func sampleUsers(t *testing.T, n int) core.Snapshot {
	t.Helper()
	s := nodetest.SampleRows(t, 100)
	owner := s.Rooms[0].Owner
	for i := range n - len(s.Users) {
		raw := sha256.Sum256(fmt.Append(nil, i))
		id, err := nkeys.Encode(nkeys.PrefixByteUser, raw[:])
		if err != nil {
			t.Fatal(err)
		}
		s.Users = append(s.Users, core.User{ID: core.UserID(id), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
	}
	for i := range s.Users {
		name := fmt.Sprintf("worker-%05d", i)
		if s.Users[i].ID == owner {
			name = "the-owner"
		}
		s.Users[i].Name, s.Users[i].KEMKey = &name, make([]byte, 1216)
	}
	return s
}

// TestPageOfTwentyThousandUsers: page 4 of a real node shows any part of the list at once, and
// a poll costs what the window holds.
func TestPageOfTwentyThousandUsers(t *testing.T) {
	nodetest.SkipShort(t)
	term, cl := startMeasured(t, sampleUsers(t, 20_000))
	assertSteps(t, term, cl, []step{
		{"4", "20 000 users: 20 000 active"},
		{"s", "NAME↑"},
		{"G", "> worker-19999"},
		{"g", "> the-owner"},
		{"/", "/"},
		{"worker-1234", "10 match /worker-1234."},
	})
	term.Press("enter", "enter")
	waitFor(t, term, "1 216 bytes") // the key of the open user is asked for
	term.Press("5")
	waitFor(t, term, "the-owner") // the list of rooms has the name itself
}
