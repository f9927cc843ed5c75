// Encrypted-room shows end-to-end encryption. Ann creates an encrypted room and
// invites Bob. They talk. Ann removes Bob, and the room gets a new key that Bob
// does not have. core/client creates, distributes and renews the keys.
//
// Run each line in a terminal of its own, from the top of the repository:
//
//	bin/unibusd demo --dir /tmp/d --for 10m
//	go run ./examples/encrypted-room -demo /tmp/d
//
// With -found ROOM the first user, who owns an encrypted room that came with a migration,
// founds it anew with the members that -known names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/client"
	"unibus/examples/internal/clientflags"
)

func main() {
	flags := clientflags.Declare()
	found := flag.String("found", "", "the `ROOM` to found anew, which the first user owns")
	known := flag.String("known", "", "the `ID,ID` of its members whom that user knows; without it the members are shown")
	flag.Parse()
	log.SetFlags(0)
	configs, _ := flags.Users()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if *found == "" {
		clientflags.Check(run(ctx, configs[0], configs[1]))
		return
	}
	var ids []core.UserID
	for _, id := range strings.FieldsFunc(*known, func(r rune) bool { return r == ',' }) {
		ids = append(ids, core.UserID(id))
	}
	clientflags.Check(foundAnew(ctx, configs[0], configs[1], core.RoomID(*found), ids))
}

func run(ctx context.Context, annConfig, bobConfig client.Config) error {
	ann, bob := client.New(annConfig), client.New(bobConfig)
	if err := errors.Join(ann.Open(ctx), bob.Open(ctx)); err != nil {
		return err
	}
	defer func() { _ = errors.Join(ann.Close(), bob.Close()) }()

	room, err := ann.CreateRoom(ctx, client.NewRoom{Name: "plans", Encrypted: true})
	if err != nil {
		return err
	}
	if err := room.Invite(ctx, bob.User(), core.MemberMember); err != nil {
		return err
	}
	bobs, err := bob.Accept(ctx, room.ID())
	if err != nil {
		return err
	}
	messages, events := bobs.Messages(ctx), ann.Events(ctx) // both listen from here on

	if err := room.Send(ctx, []byte("hello, bob")); err != nil {
		return err
	}
	for m, err := range messages {
		if err != nil {
			return err
		}
		fmt.Printf("bob reads %q, encrypted: %v, from ann: %v\n", m.Data, m.Encrypted, m.Sender == ann.User())
		break
	}

	if err := room.Remove(ctx, bob.User()); err != nil {
		return err
	}
	for e := range events {
		if r, ok := e.(client.Rekeyed); ok {
			fmt.Printf("the room has a new key: epoch %d, %d member, because: %s\n", r.Epoch, r.Members, r.Reason)
			break
		}
	}
	for _, err := range messages {
		fmt.Printf("bob is no longer a member: %v\n", errors.Is(err, client.ErrNotMember))
	}
	return nil
}
