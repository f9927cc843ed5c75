package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
)

// probeTime bounds one question to a cluster that the console is not connected to.
const probeTime = 3 * time.Second

// clusters are the contexts that this person has, for the console's switcher.
type clusters struct {
	known []tui.KnownCluster // as they were when the console began
	say   func(string)       // once the terminal shows lines again
	open  func(conn *cli.Connection, say func(string)) (*admin.Client, func(), error)
}

func newClusters(ctx context.Context, f inForce, say func(string)) *clusters {
	c := &clusters{say: say, open: func(conn *cli.Connection, say func(string)) (*admin.Client, func(), error) {
		ctx, stop := context.WithCancel(ctx) // ends with the console, or with the connection
		cl, err := conn.DialInTime(ctx, "unibus-tui", say)
		if err != nil {
			stop()
			return nil, nil, err
		}
		return cl, func() {
			stop()
			cl.Close()
		}, nil
	}}
	for _, k := range knownContexts(f.file) {
		c.known = append(c.known, tui.KnownCluster{Name: k.Name, Servers: k.Servers, From: k.From, Color: k.Color})
	}
	return c
}

// Known are the contexts of the settings file and of the nats CLI.
func (c *clusters) Known() []tui.KnownCluster { return c.known }

// connection is that of a context. It asks for no passphrase: the console has the terminal.
func (c *clusters) connection(name string) cli.Connection {
	return cli.Connection{Context: name, Passphrase: cli.Passphrase{NoPrompt: true}}
}

// Status asks a cluster once. One that was never talked to is not asked: its key is remembered at the first
// contact, and that is for an operator to decide.
func (c *clusters) Status(ctx context.Context, name string) (admin.Status, error) {
	conn := c.connection(name)
	cfg, err := conn.Config(ctx, "unibus-tui")
	if err != nil {
		return admin.Status{}, err
	}
	if cfg.ClusterKey == "" {
		return admin.Status{}, core.Errorf(core.KindUnavailable, "not asked: this would be the first contact; enter makes it")
	}
	cfg.Connect, cfg.Timeout = probeTime, probeTime
	cl, err := conn.Try(ctx, cfg) // the key is known, and nothing may be printed across the console
	if err != nil {
		return admin.Status{}, err
	}
	defer cl.Close()
	return cl.Status(ctx)
}

// Open connects to a cluster, and goes on trying where no node answers.
func (c *clusters) Open(name string) (tui.OpenCluster, error) {
	conn := c.connection(name)
	said := notice{later: c.say}
	cl, stop, err := c.open(&conn, said.add)
	if err != nil {
		return tui.OpenCluster{}, err
	}
	return tui.OpenCluster{Client: cl, Flags: conn.CommandFlags(), Color: c.color(name), Close: stop, Notice: said.take()}, nil
}

// notice is what is said while a cluster is opened, for the console; what comes after that is for later.
type notice struct {
	mu    sync.Mutex
	text  string
	taken bool
	later func(string)
}

func (n *notice) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken {
		n.later(text)
		return
	}
	n.text = text
}

func (n *notice) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken = true
	return n.text
}

func (c *clusters) color(name string) string {
	if i := slices.IndexFunc(c.known, func(k tui.KnownCluster) bool { return k.Name == name }); i >= 0 {
		return c.known[i].Color
	}
	return ""
}
