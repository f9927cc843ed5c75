package main

import (
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
)

// userReplaceCommand works with a cluster alone: a file does not say who the operators are.
func userReplaceCommand() *cobra.Command {
	var n network
	c := &cobra.Command{
		Use: "replace OLD NEW", Short: "Move a user's plain rooms and roles to a new key, and revoke the old one", Args: cli.Args("OLD", "NEW"),
		RunE: func(c *cobra.Command, args []string) error {
			for _, key := range args {
				if _, err := core.ParseUserID(key); err != nil {
					return err
				}
			}
			cl, err := n.Dial(c.Context(), "unibusd user")
			if err != nil {
				return err
			}
			defer cl.Close()
			r, err := cl.UserReplace(c.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return n.print(c, r, func() {
				c.Printf("%s  %s  %s  %s\n", r.New.ID, text(r.New.Name), r.New.Role, r.New.Status)
				for _, room := range r.Moved {
					c.Printf("the room %s was moved to the new key\n", room)
				}
				for _, room := range r.Kept {
					still := r.StillThere(room)
					c.Printf("the room %s %s\n", room, text(&still))
				}
				printRevoked(c, r.Revoked)
			})
		},
	}
	n.flags(c)
	return c
}
