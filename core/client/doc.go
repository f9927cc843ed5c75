// Package client is the library for Go programs that use the bus: rooms, messages,
// members, and encryption.
//
//	c := client.New(client.Config{Servers: servers, Seed: "ann.nk"})
//	if err := c.Open(ctx); err != nil { … }
//	defer c.Close()
//	room, err := c.CreateRoom(ctx, client.NewRoom{Name: "plans", Encrypted: true})
//
// Only users' programs import it. Begin with Client and Room. DESIGN.md has the
// goroutines of a room, its keys, and its files.
package client
