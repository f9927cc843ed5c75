package node_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestCutoverLosesNoMessage: two members talk through a whole cutover; every
// message arrives once and in order, and neither of them is disconnected.
func TestCutoverLosesNoMessage(t *testing.T) {
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
	subject := fmt.Sprintf("unibus.room.%s.%s", room.ID, ana.Public())
	heard, err := to.SubscribeSync("unibus.room." + string(room.ID) + ".*")
	if err != nil {
		t.Fatal(err)
	}
	if err := heard.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				sent <- n
				return
			case <-tick.C:
				_ = from.Publish(subject, []byte(strconv.Itoa(n))) // what is lost is missed below
			}
		}
	}()
	if _, err := cl.MigrateCutover(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	rests(t, cl, migrate.StateSoak)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	close(stop)
	n := <-sent
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
	if n < 50 || !from.IsConnected() || !to.IsConnected() {
		t.Errorf("%d messages; still connected: %v, %v", n, from.IsConnected(), to.IsConnected())
	}
}
