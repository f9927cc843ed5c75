package storetest

import (
	"context"

	"unibus/core"
)

// RoomCounter is a store that counts the rooms that it hands out. It is for one caller at a time.
type RoomCounter struct {
	core.Store
	Count int
}

// Rooms counts all rooms.
func (c *RoomCounter) Rooms(ctx context.Context) ([]core.Room, error) {
	all, err := c.Store.Rooms(ctx)
	c.Count += len(all)
	return all, err
}

// Room counts one.
func (c *RoomCounter) Room(ctx context.Context, id core.RoomID) (core.Room, error) {
	c.Count++
	return c.Store.Room(ctx, id)
}

// RoomPage counts the rooms of the page.
func (c *RoomCounter) RoomPage(ctx context.Context, r core.RoomPageRequest, notes *core.RoomNotes) (core.RoomPage, error) {
	p, err := c.Store.RoomPage(ctx, r, notes)
	c.Count += len(p.Rooms)
	return p, err
}
