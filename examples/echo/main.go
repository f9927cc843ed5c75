// Echo answers each message in a room with the same text. It shows a service: one
// program creates a room and serves in it, others join by invitation and ask.
//
// Run each line in a terminal of its own, from the top of the repository:
//
//	bin/unibusd demo --dir /tmp/d --for 10m
//	go run ./examples/echo -demo /tmp/d
//	go run ./examples/echo -demo /tmp/d -say hello
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"unibus/core"
	"unibus/core/client"
	"unibus/examples/internal/clientflags"
)

// room is the id of the room in which the service answers.
const room = core.RoomID("echo")

func main() {
	flags := clientflags.Declare()
	say := flag.String("say", "", "send this `TEXT` as the second user, and print the answer")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	configs, ids := flags.Users()
	if *say == "" {
		clientflags.Check(serve(ctx, configs[0], ids[1]))
		return
	}
	clientflags.Check(ask(ctx, configs[1], *say))
}

// serve creates the room, invites the caller and answers until the program is interrupted.
func serve(ctx context.Context, cfg client.Config, caller core.UserID) error {
	cfg.NoEcho = true // the service must not answer its own answers
	c := client.New(cfg)
	if err := c.Open(ctx); err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	r, err := c.CreateRoom(ctx, client.NewRoom{ID: room, Name: "Echo"})
	if core.KindOf(err) == core.KindExists { // from an earlier run
		r, err = c.Room(ctx, room)
	}
	if err != nil {
		return err
	}
	messages := r.Messages(ctx) // listens from here on
	if err := r.Invite(ctx, caller, core.MemberMember); err != nil && core.KindOf(err) != core.KindExists {
		return err
	}
	fmt.Printf("answering in the room %s, connected to %s\n", room, c.Connected())
	for m, err := range messages {
		if err != nil {
			return err
		}
		fmt.Printf("%s says %q\n", m.Sender.Short(), m.Data)
		if err := r.Send(ctx, m.Data); err != nil {
			return err
		}
	}
	return nil
}

// ask sends one message and prints the answer.
func ask(ctx context.Context, cfg client.Config, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cfg.NoEcho = true // print the answer, not the question
	c := client.New(cfg)
	if err := c.Open(ctx); err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	r, err := c.Accept(ctx, room)
	if core.KindOf(err) == core.KindNotFound { // no invitation: this user is in the room already, or the service never ran
		r, err = c.Room(ctx, room)
	}
	if err != nil {
		return err
	}
	messages := r.Messages(ctx)
	if err := r.Send(ctx, []byte(text)); err != nil {
		return err
	}
	for m, err := range messages {
		if err != nil {
			return err
		}
		fmt.Printf("%s answers %q\n", m.Sender.Short(), m.Data)
		return nil
	}
	return core.Errorf(core.KindUnavailable, "no answer came").WithNext("start the service: go run ./examples/echo -demo DIR")
}
