package client

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

const roomSize = 1000 // members of the room, its owner included

// BenchmarkRekeyOfAThousand is a new key for a room of 1,000 members on three
// nodes with synced writes, from the call to the commit: reading the members and
// their published keys, checking those, 1,000 boxes, the record, and storing all of it.
func BenchmarkRekeyOfAThousand(b *testing.B) {
	c := nodetest.Start(b, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	ann := newTestUser(b, c, core.RoleMember)
	a := ann.open()
	room := must[*Room](b)(a.CreateRoom(ctx(b), NewRoom{Encrypted: true}))
	addMembers(b, c, room)
	for b.Loop() {
		ok(b, room.Rekey(ctx(b)))
	}
	k := must[control.RoomInfo](b)(a.api.Room(ctx(b), room.ID()))
	if k.Members != roomSize || k.Unkeyed != 0 {
		b.Fatalf("%d members, of whom %d have no key", k.Members, k.Unkeyed)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/rekey")
	b.ReportMetric(0, "ns/op")
}

// addMembers fills the room with users who have published a key. It first adds all users, so that every node knows them.
func addMembers(b *testing.B, c *nodetest.Cluster, room *Room) {
	b.Helper()
	op, ids := c.Client(0, c.Admin), make([]keys.Identity, roomSize-1)
	each(b, func(i int) error {
		id, err := keys.GenerateIdentity()
		if err != nil {
			return err
		}
		ids[i] = id
		_, err = op.UserAdd(b.Context(), core.User{ID: core.UserID(id.Public())})
		return err
	})
	each(b, func(i int) error { return addMember(b, c.URL(i%3), room, ids[i]) })
}

func each(b *testing.B, do func(i int) error) {
	b.Helper()
	next := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range roomSize - 1 {
		next <- i
	}
	close(next)
	all.Wait()
}

func addMember(b *testing.B, url string, room *Room, id keys.Identity) error {
	kem, err := seal.NewKEM()
	if err != nil {
		return err
	}
	key, err := kem.Publish(id, core.MillisOf(time.Now()))
	if err != nil {
		return err
	}
	nc, err := nats.Connect(url, nats.Nkey(id.Public(), id.Sign), nats.CustomInboxPrefix(auth.InboxPrefix(id.Public())), nats.NoReconnect())
	if err != nil {
		return err
	}
	defer nc.Close()
	api := control.NewClient(control.ClientConfig{Conn: nc, Identity: id})
	if _, err := api.PublishKey(b.Context(), key); err != nil {
		return err
	}
	if err := room.Invite(b.Context(), core.UserID(id.Public()), core.MemberMember); err != nil {
		return err
	}
	for { // another member's statement may come first
		pending, err := api.Invitations(b.Context())
		if err != nil || len(pending) != 1 {
			return errors.Join(err, fmt.Errorf("%d invitations", len(pending)))
		}
		answer, err := (&Client{me: core.UserID(id.Public()), id: id, invitations: newInvitationWatch()}).signAnswer(pending[0], true)
		if err != nil {
			return err
		}
		if _, err = api.AppendStatements(b.Context(), room.ID(), answer.Bytes()); core.KindOf(err) != core.KindConflict {
			return err
		}
	}
}
