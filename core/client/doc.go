// Package client is what a Go program imports to use the bus: rooms, messages,
// members, and encryption done for the caller.
//
//	c := client.New(client.Config{Servers: servers, Seed: "ann.nk"})
//	if err := c.Open(ctx); err != nil { … }
//	defer c.Close()
//	room, err := c.CreateRoom(ctx, client.NewRoom{Name: "plans", Encrypted: true})
//
// A Client keeps one connection and comes back by itself when a node dies, on
// whichever of its servers admits it. A Room is a room that this process has
// open: it follows the room's keys (core/seal), makes a new one when one is due,
// and gives the present one to members who have none. Whatever a node says about
// keys is checked; what does not fit is an error whose cause is a seal.Fault, and
// nothing is sent in the room while it lasts.
//
// Messages are delivered at most once, as everywhere on NATS without JetStream:
// what is sent while a receiver is away does not come later. What this process
// was too slow for is counted and said where it is missing (ErrSlow).
//
// Errors are *core.Error. Where a program has to tell one case from another the
// cause is a Fault of this package or of core/seal: errors.Is(err, client.ErrNotMember).
package client
