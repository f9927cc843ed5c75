package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/store/sqlite"
)

// users is what `unibusd user` asks: a cluster's admin client, or a database file.
type users interface {
	UserAdd(ctx context.Context, u core.User) (core.User, error)
	UserSeen(ctx context.Context, id string) (admin.UserSeen, error)
	UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error)
	Revoke(ctx context.Context, id string) (admin.Revoked, error)
	UserActivate(ctx context.Context, id string) (core.User, error)
	UserExtend(ctx context.Context, id string, expires core.Millis) (core.User, error)
}

func userCommand() *cobra.Command {
	return cli.Group("user", "Add, list, extend, replace, revoke and activate users, and exchange them as CSV",
		userAddCommand(),
		userGetCommand(),
		userListCommand(),
		userRevokeCommand(),
		userOneCommand("activate", "Admit a revoked user again", users.UserActivate),
		userExtendCommand(), userReplaceCommand(),
		userExportCommand(), userImportCommand())
}

// userTarget is a command's choice between the network and --db.
type userTarget struct {
	network
	db string
}

func (t *userTarget) add(c *cobra.Command) *cobra.Command {
	t.flags(c)
	c.Flags().StringVar(&t.db, "db", "", "work on this SQLite FILE instead of a cluster")
	return c
}

// open returns the cluster or the file; only `user add` creates a missing file.
func (t *userTarget) open(ctx context.Context, create bool) (users, func(), error) {
	if t.db == "" {
		cl, err := t.Dial(ctx, "unibusd user")
		if err != nil {
			return nil, nil, err
		}
		return cl, cl.Close, nil
	}
	if t.Given() {
		return nil, nil, core.Errorf(core.KindInvalid, "--db and the flags of a cluster exclude each other").
			WithNext("give --db FILE alone, or --server, --identity and --tls-ca")
	}
	st := sqlite.New(sqlite.Config{Path: t.db, Create: create})
	if err := st.Open(ctx); err != nil {
		return nil, nil, err
	}
	return fileUsers{st}, func() { _ = st.Close() }, nil // nothing is buffered: every change was committed
}

func userAddCommand() *cobra.Command {
	var t userTarget
	var name, role, expires string
	c := t.add(&cobra.Command{
		Use: "add NKEY", Short: "Add a user by public nkey", Args: cli.Args("NKEY"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := core.ParseUserID(args[0])
			if err != nil {
				return err
			}
			u := core.User{ID: id, Role: core.UserRole(role)}
			if c.Flags().Changed("name") {
				u.Name = &name
			}
			if u.Expires, err = core.ParseExpiry(expires, time.Now()); err != nil {
				return err
			}
			if u, err = admin.NewUser(u.ID, u.Name, u.Role, u.Expires, 0); err != nil {
				return err
			}
			return t.runForUser(c, true, func(ctx context.Context, us users) (core.User, error) { return us.UserAdd(ctx, u) })
		},
	})
	c.Flags().StringVar(&name, "name", "", "a NAME for people to read")
	c.Flags().StringVar(&role, "role", "member", "role of the user: member or admin")
	c.Flags().StringVar(&expires, "expires", "never", "when the user's access expires: TIME is 90d, 12h, 2027-01-31 (the last day), a moment as RFC 3339 has it, or never")
	return c
}

func userOneCommand(use, short string, ask func(users, context.Context, string) (core.User, error)) *cobra.Command {
	var t userTarget
	return t.add(&cobra.Command{
		Use: use + " NKEY", Short: short, Args: cli.Args("NKEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := core.ParseUserID(args[0]); err != nil {
				return err
			}
			return t.runForUser(c, false, func(ctx context.Context, us users) (core.User, error) { return ask(us, ctx, args[0]) })
		},
	})
}

func userGetCommand() *cobra.Command {
	var t userTarget
	return t.add(&cobra.Command{
		Use: "get NKEY", Short: "Show one user, and the hour in which the user had a session last", Args: cli.Args("NKEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := core.ParseUserID(args[0]); err != nil {
				return err
			}
			us, end, err := t.open(c.Context(), false)
			if err != nil {
				return err
			}
			defer end()
			u, err := us.UserSeen(c.Context(), args[0])
			if err != nil {
				return err
			}
			return t.print(c, u, func() {
				c.Printf("%s  %s  %s  %s\n", u.ID, text(u.Name), u.Role, statusText(u.User, time.Now()))
				if t.db == "" { // a file does not have it
					c.Println("last seen:", seenText(u.Seen, u.SeenSince))
				}
			})
		},
	})
}

func userRevokeCommand() *cobra.Command {
	var t userTarget
	return t.add(&cobra.Command{
		Use: "revoke NKEY", Short: "Deny a user, and end its sessions on every node", Args: cli.Args("NKEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := core.ParseUserID(args[0]); err != nil {
				return err
			}
			us, end, err := t.open(c.Context(), false)
			if err != nil {
				return err
			}
			defer end()
			r, err := us.Revoke(c.Context(), args[0])
			if err != nil {
				return err
			}
			return t.print(c, r, func() { printRevoked(c, r) })
		},
	})
}

func printRevoked(c *cobra.Command, r admin.Revoked) {
	c.Printf("%s  %s  %s  %s\n", r.ID, text(r.Name), r.Role, r.Status)
	for _, node := range slices.Sorted(maps.Keys(r.Nodes)) {
		switch e := r.Nodes[node]; {
		case e.Unknown:
			c.Printf("%s: unknown (%s); the user may still be connected there\n", node, e.Reason)
		default:
			c.Printf("%s: %d sessions ended, %s\n", node, e.Ended, e.At.Time().Format("15:04:05.000"))
		}
	}
	for _, room := range r.Rekey {
		c.Printf("the room %s needs a new key\n", room)
	}
	if r.Note != "" {
		c.Println(r.Note)
	}
}

// runForUser calls ask for one user and prints the result.
func (t *userTarget) runForUser(c *cobra.Command, create bool, ask func(context.Context, users) (core.User, error)) error {
	us, end, err := t.open(c.Context(), create)
	if err != nil {
		return err
	}
	defer end()
	u, err := ask(c.Context(), us)
	if err != nil {
		return err
	}
	return t.print(c, u, func() {
		c.Printf("%s  %s  %s  %s\n", u.ID, text(u.Name), u.Role, statusText(u, time.Now()))
	})
}

// fileUsers works on a database file.
type fileUsers struct{ st *sqlite.Store }

func (f fileUsers) UserAdd(ctx context.Context, u core.User) (core.User, error) {
	u.Created = core.MillisOf(time.Now())
	u.Updated = u.Created
	return u, f.st.AddUser(ctx, u)
}

func (f fileUsers) UserSeen(ctx context.Context, id string) (admin.UserSeen, error) {
	user, err := core.ParseUserID(id)
	if err != nil {
		return admin.UserSeen{}, err
	}
	u, err := f.st.User(ctx, user)
	return admin.UserSeen{User: u}, err
}

func (f fileUsers) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	return f.st.UserPage(ctx, r, core.MillisOf(time.Now()))
}

// Revoke leaves the sessions to the daemon that serves the file: it sees the change within a second.
func (f fileUsers) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	u, err := f.setStatus(ctx, id, core.UserRevoked)
	return admin.Revoked{
		User: u, Nodes: map[string]admin.Ended{}, Rekey: []core.RoomID{},
		Note: "a daemon that serves this file ends the user's sessions within a second; which rooms need a new key was not looked up",
	}, err
}

func (f fileUsers) UserActivate(ctx context.Context, id string) (core.User, error) {
	return f.setStatus(ctx, id, core.UserActive)
}

func (f fileUsers) UserExtend(ctx context.Context, id string, expires core.Millis) (core.User, error) {
	user, err := core.ParseUserID(id)
	if err != nil {
		return core.User{}, err
	}
	return f.st.SetUserExpiry(ctx, user, expires, core.MillisOf(time.Now()))
}

func (f fileUsers) setStatus(ctx context.Context, id string, s core.UserStatus) (core.User, error) {
	user, err := core.ParseUserID(id)
	if err != nil {
		return core.User{}, err
	}
	return f.st.SetUserStatus(ctx, user, s, core.MillisOf(time.Now()))
}
