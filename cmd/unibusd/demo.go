package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/demo"
)

func demoCommand() *cobra.Command {
	cfg := demo.DefaultConfig()
	var hold time.Duration
	var play bool
	c := &cobra.Command{
		Use: "demo", Short: "Run a cluster with sample data on this machine",
		Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case hold < 0:
				return core.Errorf(core.KindInvalid, "--for is %s", hold).WithNext("give a time such as 2m")
			case hold > 0 && play:
				return core.Errorf(core.KindInvalid, "--for and --play exclude each other").WithNext("give one of them, or neither")
			}
			return runDemo(c, cfg, hold, play)
		},
	}
	f := c.Flags()
	f.IntVar(&cfg.Nodes, "nodes", cfg.Nodes, "number of nodes")
	f.IntVar(&cfg.Users, "users", cfg.Users, "number of users in the first node's SQLite file")
	f.IntVar(&cfg.Rooms, "rooms", cfg.Rooms, "number of rooms")
	f.StringVar(&cfg.Dir, "dir", "", "keep everything in this empty DIR; demo.json there says how to connect")
	f.DurationVar(&hold, "for", 0, "run the cluster for this TIME, without the console")
	f.BoolVar(&play, "play", false, "migrate, stop and restart a node, print each step as text, and end")
	c.AddCommand(demoNodeCommand("stop", "Stop one node of a running demo", func(ctx context.Context, dir, node string) error {
		return demo.Stop(ctx, dir, node)
	}), demoNodeCommand("start", "Start a node of a running demo again", func(ctx context.Context, dir, node string) error {
		binary, err := os.Executable()
		if err != nil {
			return core.Errorf(core.KindFailed, "the path of this program is not known: %w", err)
		}
		return demo.Start(ctx, demo.StartConfig{Dir: dir, Node: node, Binary: binary, Environ: os.Environ()})
	}))
	return c
}

func demoNodeCommand(verb, short string, f func(ctx context.Context, dir, node string) error) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: verb + " NODE", Short: short, Args: cli.Args("NODE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f(c.Context(), dir, args[0]); err != nil {
				return err
			}
			c.Println(args[0], map[string]string{"stop": "stopped", "start": "serves again"}[verb])
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the demo's directory DIR")
	cli.Require(c, "dir")
	return c
}

func runDemo(c *cobra.Command, cfg demo.Config, hold time.Duration, play bool) (err error) {
	if !signal.Ignored(syscall.SIGHUP) { // else nohup(1) wants it to go on
		ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP) // its temporary directory would outlive it
		defer stop()
		c.SetContext(ctx)
	}
	if cfg.Binary, err = os.Executable(); err != nil {
		return core.Errorf(core.KindFailed, "the path of this program is not known: %w", err)
	}
	cfg.Environ = os.Environ()
	cfg.Console = filepath.Join(filepath.Dir(cfg.Binary), "unibus-tui")
	onTerminal := term.IsTerminal(os.Stdin.Fd()) && term.IsTerminal(os.Stdout.Fd())
	out := c.OutOrStdout()
	if err := cfg.Check(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "Starting %d nodes on this machine…\n", cfg.Nodes)
	d := demo.New(cfg)
	if err := d.Open(c.Context()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	switch {
	case hold > 0:
		return holdDemo(c.Context(), out, d, hold)
	case play || !onTerminal:
		return playDemo(c.Context(), out, d)
	}
	return openConsole(c, d.Description(), cfg.Console)
}

// holdDemo keeps the cluster until the time is over or a signal ends it.
func holdDemo(ctx context.Context, out io.Writer, d *demo.Demo, hold time.Duration) error {
	_, _ = fmt.Fprintf(out, "The cluster serves for %s. Look at it with:\n  %s\n", hold, d.Description().Console)
	select {
	case <-ctx.Done():
	case <-time.After(hold):
	}
	return nil
}

// playDemo tells the story of the main job on the cluster that has just begun.
func playDemo(ctx context.Context, out io.Writer, d *demo.Demo) error {
	desc := d.Description()
	cl, err := demo.NewClient(desc, desc.Identities.Admin)
	if err != nil {
		return err
	}
	if err := cl.Open(ctx); err != nil {
		return err
	}
	defer cl.Close()
	return demo.Play(ctx, demo.PlayConfig{Admin: cl, Nodes: d, Demo: desc, Out: out})
}

// consoleEndTime is how long the console may take to give the terminal back.
const consoleEndTime = 2 * time.Second

// openConsole runs the console beside the cluster and returns when it ends.
func openConsole(c *cobra.Command, d demo.Description, program string) error {
	args := []string{"--identity", d.Identities.Admin, "--tls-ca", d.CA}
	for _, url := range d.URLs() {
		args = append(args, "--server", url)
	}
	console := exec.CommandContext(c.Context(), program, args...)
	console.Cancel = func() error { return console.Process.Signal(syscall.SIGTERM) } // a console that is killed leaves the terminal unusable
	console.WaitDelay = consoleEndTime
	console.Stdin, console.Stdout, console.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := console.Run(); err != nil && c.Context().Err() == nil {
		return core.Errorf(core.KindFailed, "the console %s ended: %w", program, err).
			WithNext("build it with `make build`, or use --for 10m and start it yourself")
	}
	return nil
}
