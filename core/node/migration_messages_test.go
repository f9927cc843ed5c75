package node_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestMovesLoseNoMessage: two members at the source exchange messages during a whole cutover
// and a whole rollback. Every message arrives once and in order. Neither is disconnected.
func TestMovesLoseNoMessage(t *testing.T) {
	t.Parallel()
	ana, ben := nodetest.Identity(t), nodetest.Identity(t)
	seed := sample(t)
	room := core.Room{ID: "talk", Owner: core.UserID(ana.Public()), Rec: core.LegacyRec, State: core.RoomActive}
	for _, id := range []keys.Identity{ana, ben} {
		user := core.UserID(id.Public())
		seed.Users = append(seed.Users, core.User{ID: user, Role: core.RoleMember, Status: core.UserActive})
		seed.Members = append(seed.Members, core.Member{Room: room.ID, User: user, Role: core.MemberMember, State: core.MemberActive})
	}
	seed.Rooms = append(seed.Rooms, room)
	c := nodetest.Start(t, nodetest.Config{Seed: seed})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	move(t, c, cl, c.Configs[0].DB, false)
	from, to := connect(t, c, 0, ana), connect(t, c, 0, ben)
	heard := subscribe(t, to, room.ID)

	t.Log("cutover")
	end := talk(from, room.ID, ana)
	if _, err := cl.MigrateCutover(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateSoak)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	allHeard(t, from, to, heard, end())
	for i := range c.Nodes { // each node's status says that there is a way back
		awaitSoak(t, c.Client(i, c.Admin), "n1")
	}

	t.Log("rollback")
	end = talk(from, room.ID, ana)
	if _, err := cl.MigrateRollback(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	waitForState(t, cl, migrate.StateRolledBack)
	c.WaitServing(core.BackendSQLite, 0)
	awaitSoak(t, cl, "")
	allHeard(t, from, to, heard, end())
	if !from.IsConnected() || !to.IsConnected() {
		t.Errorf("still connected: %v, %v", from.IsConnected(), to.IsConnected())
	}
}

// awaitSoak waits until a node says which one keeps the file for a rollback, or that none does.
func awaitSoak(t *testing.T, cl *admin.Client, node string) {
	t.Helper()
	nodetest.Wait(t, nodetest.Convergence, func() error {
		st, err := cl.Status(t.Context())
		if keeps := st.Soak; err == nil && (keeps == nil) != (node == "") || keeps != nil && keeps.Node != node {
			err = fmt.Errorf("in soak: %+v", keeps)
		}
		return err
	})
}

// subscribe subscribes to a room.
func subscribe(t *testing.T, to session, room core.RoomID) *nats.Subscription {
	t.Helper()
	heard, err := to.SubscribeSync("unibus.room." + string(room) + ".*")
	if err != nil {
		t.Fatal(err)
	}
	if err := heard.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	return heard
}

// talk publishes the numbers from 0, one each millisecond. end stops it and returns the count.
func talk(from session, room core.RoomID, as keys.Identity) (end func() int) {
	subject := fmt.Sprintf("unibus.room.%s.%s", room, as.Public())
	stop, said := make(chan struct{}), make(chan int, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				said <- n
				return
			case <-tick.C:
				_ = from.Publish(subject, []byte(strconv.Itoa(n))) // what is lost is missed in allHeard
			}
		}
	}()
	return func() int {
		close(stop)
		return <-said
	}
}

// allHeard receives n messages, each once and in order, and no more.
func allHeard(t *testing.T, from, to session, heard *nats.Subscription, n int) {
	t.Helper()
	if err := from.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m, err := heard.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatalf("message %d of %d did not come: %v", i, n, err)
		}
		if string(m.Data) != strconv.Itoa(i) {
			t.Fatalf("message %d of %d is %q", i, n, m.Data)
		}
	}
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	if more, _, err := heard.Pending(); n < 50 || more != 0 || err != nil {
		t.Errorf("%d messages, and %d more than were said, %v", n, more, err)
	}
}
