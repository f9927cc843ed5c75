package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/client"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/loopback"
	"unibus/core/node"
)

// Two users and one encrypted room.
func Example() {
	servers, annSeed, bobSeed, stop := startBus()
	defer stop()
	ctx := context.Background()

	ann := client.New(client.Config{Servers: servers, Seed: annSeed, Dir: filepath.Dir(annSeed)})
	bob := client.New(client.Config{Servers: servers, Seed: bobSeed, Dir: filepath.Dir(bobSeed)})
	check(ann.Open(ctx), bob.Open(ctx))
	defer ann.Close()
	defer bob.Close()

	room, err := ann.CreateRoom(ctx, client.NewRoom{Name: "plans", Encrypted: true})
	check(err, room.Invite(ctx, bob.User(), core.MemberMember))
	bobs, err := bob.Accept(ctx, room.ID())
	check(err)
	messages := bobs.Messages(ctx) // from here on

	check(room.Send(ctx, []byte("hello, bob")))
	for m, err := range messages {
		check(err)
		fmt.Printf("%s, encrypted: %v, from ann: %v\n", m.Data, m.Encrypted, m.Sender == ann.User())
		break
	}
	// Output: hello, bob, encrypted: true, from ann: true
}

// A removed member reads no later message: the room has another key by then. The
// other members get events.
func ExampleRoom_Remove() {
	servers, annSeed, bobSeed, stop := startBus()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a loop over messages ends with it
	defer cancel()
	ann, bob := open(servers, annSeed), open(servers, bobSeed)
	defer ann.Close()
	defer bob.Close()
	room, err := ann.CreateRoom(ctx, client.NewRoom{Encrypted: true})
	check(err, room.Invite(ctx, bob.User(), ""))
	bobs, err := bob.Accept(ctx, room.ID())
	check(err)
	messages, events := bobs.Messages(ctx), ann.Events(ctx)

	check(room.Remove(ctx, bob.User()))
	for e := range events {
		if r, ok := e.(client.Rekeyed); ok {
			fmt.Printf("epoch %d for %d member, because: %s\n", r.Epoch, r.Members, r.Reason)
			break
		}
	}
	for _, err := range messages {
		fmt.Println("bob is out:", errors.Is(err, client.ErrNotMember))
	}
	// Output:
	// epoch 2 for 1 member, because: member removed
	// bob is out: true
}

// A reader by channel, which ends with its context.
func ExampleRoom_Chan() {
	servers, annSeed, _, stop := startBus()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ann := open(servers, annSeed)
	defer ann.Close()
	room, err := ann.CreateRoom(ctx, client.NewRoom{Name: "notes"})
	check(err)
	messages := room.Chan(ctx)
	check(room.Send(ctx, []byte("to myself")))
	d := <-messages
	check(d.Err)
	fmt.Printf("%s\n", d.Data)
	cancel()
	_, open := <-messages
	fmt.Println(open)
	// Output:
	// to myself
	// false
}

func open(servers []string, seed string) *client.Client {
	c := client.New(client.Config{Servers: servers, Seed: seed, Dir: filepath.Dir(seed)})
	check(c.Open(context.Background()))
	return c
}

func check(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		log.Fatal(err)
	}
}

// startBus starts a node with two users, and returns its address and their seed files. An
// example that does not end shows where each of its goroutines waits.
func startBus() (servers []string, ann, bob string, stop func()) {
	late := time.AfterFunc(2*time.Minute, func() {
		debug.SetTraceback("all")
		panic("an example has not ended within two minutes")
	})
	dir, err := os.MkdirTemp("", "unibus-example-*")
	check(err)
	listen, err := loopback.FreeAddresses(1)
	check(err)
	operator, err := keys.GenerateIdentity()
	check(err)
	cfg := config.Default()
	cfg.Name, cfg.Data, cfg.DB, cfg.Listen = "n1", filepath.Join(dir, "n1"), filepath.Join(dir, "n1", "unibus.db"), listen[0]
	cfg.BusAuth = core.BusAuthEnforce
	cfg.Operators = []core.Operator{{Key: operator.Public(), Role: core.OperatorAdmin, Name: "op"}}
	n := node.New(node.Config{Node: cfg, Version: "example"})
	check(n.Open(context.Background()))
	servers = []string{"nats://" + cfg.Listen}
	op := admin.NewClient(admin.ClientConfig{Servers: servers, Identity: operator})
	check(op.Open(context.Background()))
	defer op.Close()
	user := func(name string) string {
		seed, public, err := keys.Generate()
		path := filepath.Join(dir, name+".nk")
		check(err, keys.WriteSeed(path, seed))
		_, err = op.UserAdd(context.Background(), core.User{ID: core.UserID(public), Name: &name, Role: core.RoleMember})
		check(err)
		return path
	}
	return servers, user("ann"), user("bob"), func() {
		check(n.Close(), os.RemoveAll(dir))
		late.Stop()
	}
}
