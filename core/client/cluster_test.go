package client

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/nodetest"
)

// TestANodeIsLost: three nodes, an encrypted room, and the node that both
// members are connected to is closed in the middle. Messages come once, and
// in order or told as late (promise E8), and the room gets another key afterward.
func TestANodeIsLost(t *testing.T) { // before the parallel tests: three nodes need the whole machine
	n := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	n.WaitServing(core.BackendKV, 0, 1, 2)
	ann, bob := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember).open()
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, room, bob)
	bobs := must[*Room](t)(bob.Room(ctx(t), room.ID()))
	events := eventsOf(t, ann)
	heard := bobs.Chan(t.Context())
	talk, hush := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-talk.Done():
				return
			case <-tick.C:
				if err := room.Send(talk, []byte(strconv.Itoa(i))); err != nil && talk.Err() == nil {
					t.Errorf("message %d: %v", i, err)
				}
			}
		}
	}()
	last := listen(t, heard, -1, 50)
	at := slices.IndexFunc(n.Configs, func(c config.Node) bool { return c.Name == ann.Connected() })
	ok(t, n.Nodes[at].Close())
	awaitEvent(t, events, func(Disconnected) bool { return true })
	awaitEvent(t, events, func(e Connected) bool { return e.Node != n.Configs[at].Name })
	last = listen(t, heard, last, 1000)
	ok(t, room.Rekey(ctx(t)))
	listen(t, heard, last, 50)
	hush()
	await(t, "the last message to be sent", done)
}

// listen reads n messages with ascending numbers. A message that its sender sent through a
// node just before it moved to another one may be overtaken: then the client says so.
func listen(t *testing.T, from <-chan Delivery, last, n int) int {
	t.Helper()
	for range n {
		select {
		case d := <-from:
			if d.Err != nil {
				t.Fatal(d.Err)
			}
			i, err := strconv.Atoi(string(d.Data))
			if err != nil || i == last || (i < last) != d.Reordered {
				t.Fatalf("%q came after %d, reordered: %v", d.Data, last, d.Reordered)
			}
			last = max(last, i)
		case <-time.After(2 * wait):
			t.Fatal(fmt.Errorf("nothing comes after message %d", last))
		}
	}
	return last
}
