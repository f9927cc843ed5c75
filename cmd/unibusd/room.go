package main

import (
	"context"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core/admin"
)

func roomCommand() *cobra.Command {
	return cli.Group("room", "Look at rooms", roomListCommand(), roomGetCommand())
}

func roomListCommand() *cobra.Command {
	var n network
	return n.command("list", "List all rooms", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		rooms, err := cl.Rooms(ctx)
		if err != nil {
			return err
		}
		return n.print(c, map[string]any{"rooms": rooms}, func() {
			table(c, "ROOM\tNAME\tENCRYPTED\tEPOCH\tMEMBERS\tOWNER", func(print func(string, ...any)) {
				for _, r := range rooms {
					print("%s\t%s\t%v\t%d\t%d\t%s", r.ID, text(r.Name), r.Encrypted, r.Epoch, r.Members, r.Owner.Short())
				}
			})
		})
	})
}

func roomGetCommand() *cobra.Command {
	var n network
	return n.command("get ROOM", "Show a room and its members", []string{"ROOM"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		d, err := cl.RoomGet(ctx, args[0])
		if err != nil {
			return err
		}
		return n.print(c, d, func() {
			c.Printf("%s  %s  epoch %d  encrypted %v  owner %s\n\n", d.Room.ID, text(d.Room.Name), d.Room.Epoch, d.Room.Encrypted, d.Room.Owner)
			table(c, "MEMBER\tNAME\tROLE\tSTATUS\tHAS KEY", func(print func(string, ...any)) {
				for _, m := range d.Members {
					print("%s\t%s\t%s\t%s\t%v", m.User, text(m.Name), m.Role, m.Status, m.Boxed)
				}
			})
		})
	})
}
