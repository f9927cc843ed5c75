package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
)

func roomCommand() *cobra.Command {
	return cli.Group("room", "Show rooms and their keys, and ask for a new key",
		roomListCommand(), roomGetCommand(), roomRekeyCommand())
}

func roomListCommand() *cobra.Command {
	var n network
	var r core.RoomPageRequest
	owner, asCSV := "", false
	c := n.command("list", "List all rooms, and the state of their keys", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		pages := admin.RoomPages(ctx, cl.RoomPage, r)
		if asCSV {
			return exportRooms(c.OutOrStdout(), pages)
		}
		if n.json {
			return printPagesJSON(c.OutOrStdout(), "rooms", pages, func(p admin.RoomPage) []admin.RoomSummary { return p.Rooms })
		}
		return printRooms(c.OutOrStdout(), pages)
	})
	c.PreRunE = func(c *cobra.Command, _ []string) (err error) {
		if owner != "" {
			if r.Owner, err = core.ParseUserID(owner); err != nil {
				return err
			}
		}
		if asCSV && n.json {
			return core.Errorf(core.KindInvalid, "--csv and --json cannot be given together").WithNext("leave one of them out")
		}
		return cmp.Or(checkLimit(c, "room", r.Limit), r.Check())
	}
	c.Flags().BoolVar(&asCSV, "csv", false, "print CSV, for spreadsheets")
	c.Flags().StringVar(&r.Filter, "filter", "", "list rooms whose id, name, owner or keys contain TEXT; !TEXT, ~TEXT, owner:TEXT and r/REGEX as in the console")
	c.Flags().StringVar(&owner, "owner", "", "list the rooms of one owner, an NKEY")
	c.Flags().StringVar((*string)(&r.Sort), "sort", string(core.RoomsByID), "the ORDER: id, name, owner, members, keys, key-age, epoch or created")
	c.Flags().BoolVar(&r.Descending, "descending", false, "list the last of the order first")
	c.Flags().IntVar(&r.Limit, "limit", 0, "list at most N rooms (default: all)")
	return c
}

// printRooms prints rooms as lines.
func printRooms(out io.Writer, pages iter.Seq2[admin.RoomPage, error]) error {
	list := pageList{widths: []int{20, 24, 9, 5, 19, 7, 16}, head: []string{"ROOM", "NAME", "ENCRYPTED", "EPOCH", "SINCE", "MEMBERS", "KEYS", "OWNER"}}
	return printPages(out, list, pages, func(p admin.RoomPage, print func(...string)) {
		for _, r := range p.Rooms {
			print(string(r.ID), text(r.Name), fmt.Sprint(r.Encrypted), fmt.Sprint(r.Epoch), since(r.Keys), fmt.Sprint(r.Members), r.Keys.Label(), r.Owner.Short())
		}
	})
}

// since is when the current epoch began.
func since(k *admin.KeyHealth) string {
	if k == nil || k.Since == 0 {
		return "–"
	}
	return k.Since.Time().Format(time.DateTime)
}

func roomGetCommand() *cobra.Command {
	var n network
	statements := 20
	c := n.command("get ROOM", "Show a room, its members, the holders of its key, and the signer of each membership", []string{"ROOM"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		d, err := cl.RoomGet(ctx, args[0])
		if err != nil {
			return err
		}
		out := roomWithChain{RoomDetail: d}
		if d.Room.Encrypted {
			if out.Check, err = readChain(ctx, cl, d, statements); err != nil { // nodes of an older release do not give it
				out.CheckError = core.AsError(err).Text
			}
		}
		return n.print(c, out, func() {
			printRoom(c, d)
			printChain(c, d, out.Check, err)
		})
	})
	c.PreRunE = func(*cobra.Command, []string) error {
		if statements < 0 {
			return core.Errorf(core.KindInvalid, "--statements is %d, and cannot be below 0", statements)
		}
		return nil
	}
	c.Flags().IntVar(&statements, "statements", statements, "list the newest N statements of an encrypted room's members; all are verified")
	return c
}

func printRoom(c *cobra.Command, d admin.RoomDetail) {
	c.Printf("%s  %s  epoch %d  encrypted %v  owner %s\n", d.Room.ID, text(d.Room.Name), d.Room.Epoch, d.Room.Encrypted, d.Room.Owner)
	if k := d.Keys; k != nil {
		c.Printf("keys: %s  epoch since %s\n", k.Label(), since(&k.KeyHealth))
		printPeople(c, "knows the key and may not read any more", k.StillKnow, k.MustRekey)
		printPeople(c, "has no key", k.WithoutKey, k.Unkeyed)
		if noHolder := k.NoHolderText(d.Room.Epoch); noHolder != "" {
			c.Println(noHolder)
		}
		if k.State == admin.KeysRekey {
			printPeople(c, "could rekey", k.CanRekey, k.CanCount)
			if k.CannotAsk != nil {
				c.Println(k.CannotAsk.Text)
			}
		}
	}
	c.Println()
	table(c, "MEMBER\tNAME\tROLE\tSTATUS\tHAS KEY", func(print func(string, ...any)) {
		for _, m := range d.Members {
			print("%s\t%s\t%s\t%s\t%v", m.User, text(m.Name), m.Role, m.Status, m.Boxed)
		}
	})
	printInvitations(c, d)
}

func printInvitations(c *cobra.Command, d admin.RoomDetail) {
	if d.InvitedCount == 0 {
		return
	}
	c.Println()
	table(c, "INVITED\tNAME\tAS\tBY\tSINCE", func(print func(string, ...any)) {
		for _, in := range d.Invited {
			print("%s\t%s\t%s\t%s\t%s", in.User, text(in.Name), in.Role, core.UserID(in.By).Short(), in.At.Time().Format(time.DateTime))
		}
	})
	if n := d.InvitedCount - len(d.Invited); n > 0 {
		c.Printf("invited: %d more\n", n)
	}
}

// printPeople prints a line each, and how many more there are.
func printPeople(c *cobra.Command, what string, people []admin.RoomPerson, all int) {
	for _, p := range people {
		line := fmt.Sprintf("%s: %s  %s", what, p.User, text(p.Name))
		switch {
		case p.Status == core.UserRevoked:
			line += "  revoked"
		case p.Status == core.UserExpired:
			line += "  expired"
		case p.Role == "":
			line += "  removed"
		default:
			line += "  " + string(p.Role)
		}
		if len(p.Nodes) > 0 {
			line += "  online at " + strings.Join(p.Nodes, ", ")
		}
		c.Println(line)
	}
	if n := all - len(people); n > 0 {
		c.Printf("%s: %d more\n", what, n)
	}
}

func roomRekeyCommand() *cobra.Command {
	var n network
	user := ""
	c := n.command("rekey ROOM", "Ask a member who is online to give the room a new key", []string{"ROOM"}, func(ctx context.Context, c *cobra.Command, cl *admin.Client, args []string) error {
		if user != "" {
			if _, err := core.ParseUserID(user); err != nil {
				return err
			}
		}
		a, err := cl.RoomRekey(ctx, admin.RekeyRequest{ID: args[0], User: user})
		if err != nil {
			return err
		}
		return n.print(c, a, func() {
			c.Printf("%s (%s, online at %s) was asked for a new key of the room %s, now at epoch %d.\n", a.Called(), a.User, strings.Join(a.Nodes, ", "), a.Room, a.Epoch)
			c.Printf("A member's program makes it, not a node: `unibusd room get %s` shows epoch %d once it has.\n", a.Room, a.Epoch+1)
		})
	})
	c.Flags().StringVar(&user, "user", "", "ask this member, an NKEY (default: the owner, then an admin)")
	return c
}
