// Earlier-client is a program that uses core/client as it was before the members of a room
// signed. "make compat" builds it with that commit, and TestEarlierClient runs it. It tries
// all that a member does, and says what became of each.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/client"
)

// outcome is a line of the output.
type outcome struct {
	Did  string    `json:"did"`
	Kind core.Kind `json:"kind"` // "": it was done
	Text string    `json:"text"`
	Next string    `json:"next"`
}

func say(did string, err error) {
	out := outcome{Did: did}
	if err != nil {
		e := core.AsError(err)
		out.Kind, out.Text, out.Next = e.Kind, e.Text, e.Next
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

func main() {
	servers, seed, dir := flag.String("servers", "", ""), flag.String("seed", "", ""), flag.String("dir", "", "")
	room, ghost, secret := flag.String("room", "", ""), flag.String("ghost", "", ""), flag.String("secret", "", "")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := client.New(client.Config{Servers: strings.Split(*servers, ","), Seed: *seed, Dir: *dir, Timeout: 10 * time.Second})
	err := c.Open(ctx)
	say("open", err)
	if err != nil {
		return
	}
	defer c.Close()
	_, err = c.Accept(ctx, core.RoomID(*room))
	say("accept", err)
	r, err := c.Room(ctx, core.RoomID(*room))
	say("room", err)
	if err != nil {
		return
	}
	short, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	say("send", r.Send(short, []byte(*secret)))
	say("invite", r.Invite(ctx, core.UserID(*ghost), core.MemberMember))
	say("rekey", r.Rekey(short))
	say("room err", r.Err())
}
