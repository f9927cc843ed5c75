package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/tui/sshd"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	cli.Connection
	listen      string
	state       string
	maxSessions int
	idle        time.Duration
}

const (
	leastIdle       = time.Minute
	mostSessions    = 1000
	stateEnv        = "STATE_DIRECTORY" // systemd's StateDirectory=
	usualListenPort = "127.0.0.1:2222"
)

func serveCommand() *cobra.Command {
	var o serveFlags
	c := &cobra.Command{
		Use: "serve", Short: "Serve the console over SSH to the operators of the cluster; it only reads", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	o.Flags(c.Flags())
	c.Flags().StringVar(&o.listen, "listen", usualListenPort, "address of the SSH server; :2222 listens on all of the machine's")
	c.Flags().StringVar(&o.state, "state", "", "directory DIR of the host key (default: of systemd, or in the user's configuration)")
	c.Flags().IntVar(&o.maxSessions, "max-sessions", 32, "sessions that may be open; one operator has three quarters at the most")
	c.Flags().DurationVar(&o.idle, "idle", 30*time.Minute, "end a session in which no key was pressed for so long")
	c.Example = "unibus-tui serve --context console --listen :2222\nunibus-tui serve --server tls://n1:4222,tls://n2:4222 \\\n--identity console.nk --tls-ca ca.crt --state /var/lib/unibus-console"
	return c
}

func (o *serveFlags) run(c *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	cl, err := o.DialInTime(c.Context(), "unibus-tui serve", func(text string) { c.PrintErrln(text) })
	if err != nil {
		return err
	}
	defer cl.Close()
	s := sshd.New(sshd.Config{
		Client: cl, Dir: o.state, Version: version, MaxSessions: o.maxSessions, IdleTimeout: o.idle,
		Log: slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)),
	})
	if err := s.CheckIdentity(c.Context()); err != nil {
		return err
	}
	if err := s.Open(); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.WithoutCancel(c.Context()), "tcp", o.listen)
	if err != nil {
		return core.Errorf(core.KindFailed, "the SSH server cannot listen on %s: %w", o.listen, err).WithNext("give another address with --listen")
	}
	if err := announce(c, s, l.Addr()); err != nil {
		_ = l.Close()
		return err
	}
	return s.Serve(c.Context(), l)
}

// check looks at the flags, and fills in the directory.
func (o *serveFlags) check() error {
	switch {
	case o.maxSessions < 1 || o.maxSessions > mostSessions:
		return core.Errorf(core.KindInvalid, "--max-sessions %d is not between 1 and %d", o.maxSessions, mostSessions)
	case o.idle < leastIdle:
		return core.Errorf(core.KindInvalid, "--idle %s is less than %s", o.idle, leastIdle)
	}
	if o.state == "" {
		o.state = os.Getenv(stateEnv)
	}
	if o.state != "" {
		return nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return core.Errorf(core.KindInvalid, "there is no directory for the host key: %w", err).WithNext("give one with --state DIR")
	}
	o.state = filepath.Join(dir, "unibus", "console-ssh")
	return nil
}

// announce says what clients have to know of the server.
func announce(c *cobra.Command, s *sshd.Server, address net.Addr) error {
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return core.Errorf(core.KindFailed, "the address %s has no port: %w", address, err)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "Serving the console over SSH on %s. It only reads.\nHost key: %s\nFor known_hosts, with the name of this machine:\n%s\n",
		address, s.Fingerprint(), s.KnownHost("[HOST]:"+port))
	return err
}
