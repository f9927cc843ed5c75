// Sensor sends one reading a second into a room, and its reader prints them. It
// shows a stream of messages in a plain room, the events of a connection, and
// at-most-once delivery: the reader gets what is sent while it listens.
//
// Run each line in a terminal of its own, from the top of the repository:
//
//	bin/unibusd demo --dir /tmp/d --for 10m
//	go run ./examples/sensor -demo /tmp/d
//	go run ./examples/sensor -demo /tmp/d -read
//
// After a migration, stop the node that the reader is connected to: the reader
// connects to another one, and says how many readings it missed.
//
//	bin/unibusd demo stop n2 --dir /tmp/d
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"
	"time"

	"unibus/core"
	"unibus/core/client"
	"unibus/examples/internal/clientflags"
)

// room is the id of the room that the readings go to.
const room = core.RoomID("readings")

// reading is the content of one message.
type reading struct {
	Number  int       `json:"number"`
	Celsius float64   `json:"celsius"`
	At      time.Time `json:"at"`
}

func main() {
	flags := clientflags.Declare()
	read := flag.Bool("read", false, "print the readings, as the second user")
	count := flag.Int("count", 0, "end after `N` readings (0: run until interrupted)")
	every := flag.Duration("every", time.Second, "the `TIME` between two readings")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	configs, ids := flags.Users()
	if *read {
		clientflags.Check(reader(ctx, configs[1], *count))
		return
	}
	clientflags.Check(sensor(ctx, configs[0], ids[1], *count, *every))
}

// sensor creates the room, invites the reader and sends readings.
func sensor(ctx context.Context, cfg client.Config, reader core.UserID, count int, every time.Duration) error {
	c := client.New(cfg)
	if err := c.Open(ctx); err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	go printConnection(ctx, c)
	r, err := c.CreateRoom(ctx, client.NewRoom{ID: room, Name: "Readings"})
	if core.KindOf(err) == core.KindExists { // from an earlier run
		r, err = c.Room(ctx, room)
	}
	if err != nil {
		return err
	}
	if err := r.Invite(ctx, reader, core.MemberMember); err != nil && core.KindOf(err) != core.KindExists {
		return err
	}
	fmt.Printf("sending to the room %s, connected to %s\n", room, c.Connected())
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; count == 0 || n <= count; n++ {
		if err := send(ctx, r, n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return c.Flush(ctx)
}

// send sends one reading. While no node is connected a reading is dropped: the
// next one is newer.
func send(ctx context.Context, r *client.Room, n int) error {
	now := time.Now()
	data, err := json.Marshal(reading{n, 20 + 2*math.Sin(float64(n)/10), now})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := r.Send(ctx, data); err != nil && !errors.Is(err, client.ErrOffline) {
		return err
	}
	return nil
}

// reader prints readings, and says which are missing.
func reader(ctx context.Context, cfg client.Config, count int) error {
	c := client.New(cfg)
	if err := c.Open(ctx); err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	go printConnection(ctx, c)
	r, err := c.Accept(ctx, room)
	if core.KindOf(err) == core.KindNotFound { // no invitation: this user is in the room already, or the sensor never ran
		r, err = c.Room(ctx, room)
	}
	if err != nil {
		return err
	}
	fmt.Printf("reading the room %s, connected to %s\n", room, c.Connected())
	got, last := 0, 0
	for m, err := range r.Messages(ctx) {
		if err != nil {
			return err
		}
		var v reading
		if err := json.Unmarshal(m.Data, &v); err != nil {
			return err
		}
		if last > 0 && v.Number > last+1 {
			fmt.Printf("%d readings are missing\n", v.Number-last-1)
		}
		last = v.Number
		fmt.Printf("reading %d: %.1f °C at %s\n", v.Number, v.Celsius, v.At.Format(time.TimeOnly))
		if got++; got == count {
			return nil
		}
	}
	return nil
}

// printConnection prints when the connection is lost and when it is back. A node
// also renews a session when its user joins or leaves a room.
func printConnection(ctx context.Context, c *client.Client) {
	for e := range c.Events(ctx) {
		switch e := e.(type) {
		case client.Disconnected:
			fmt.Println("the connection is lost")
		case client.Connected:
			fmt.Println("connected to", e.Node)
		}
	}
}
