package demo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/loopback"
)

// maxNodes is the most nodes of a demo, as many as a bucket may have replicas.
const maxNodes = 5

// identityUsers is how many sample users get identity files.
const identityUsers = 5

// stopTimeout is how long a node may take to stop before it is killed.
const stopTimeout = 10 * time.Second

// Config describes a demo. Zero values of Nodes, Users and Rooms are not replaced:
// DefaultConfig has those of the command line.
type Config struct {
	Dir      string // for all files; "": a temporary directory that Close removes
	Nodes    int    // 2 to MaxNodes
	Users    int    // in the first node's SQLite database; ignored with Store kv
	Rooms    int    // likewise
	Binary   string // path of unibusd
	Console  string // how demo.json calls the console; "": unibus-tui
	Store    core.Backend
	Replicas int      // --replicas of every node
	Environ  []string // environment of the nodes, without variables that override their files

	CheckReady   ReadyCheck    // nil: asks the node with the admin identity, see AdminReady
	StartTimeout time.Duration // until every node serves; 0: one minute
	Keys         io.Reader     // randomness of the sample's keys; nil: the system's
	Logger       *slog.Logger  // nil: silent
}

// ReadyCheck returns nil if a node of the demo serves, or why it does not yet.
type ReadyCheck func(ctx context.Context, d Description, node string) error

// DefaultConfig is `unibusd demo` without flags. Binary is missing.
func DefaultConfig() Config {
	return Config{Nodes: 3, Users: 200, Rooms: 50, Store: core.BackendSQLite, Replicas: 1}
}

// Check checks the numbers before anything is created. KindInvalid.
func (c Config) Check() error {
	switch {
	case c.Nodes < 2 || c.Nodes > maxNodes:
		return core.Errorf(core.KindInvalid, "--nodes is %d", c.Nodes).WithNext("give a number from 2 to %d; 3 is usual", maxNodes)
	case c.Users < 1 || c.Users > 100_000:
		return core.Errorf(core.KindInvalid, "--users is %d", c.Users).WithNext("give a number from 1 to 100000")
	case c.Rooms < 0 || c.Rooms > 10_000:
		return core.Errorf(core.KindInvalid, "--rooms is %d", c.Rooms).WithNext("give a number from 0 to 10000")
	case c.Binary == "":
		return core.Errorf(core.KindFailed, "a demo was made without the path of unibusd")
	}
	return nil
}

// Demo is a cluster of child processes. It is safe for concurrent use.
type Demo struct {
	cfg            Config
	dir            string
	dirIsTemporary bool // Close removes it

	childLauncher *launcher
	log           *slog.Logger

	mu     sync.Mutex
	desc   Description
	nodes  map[string]*process // the last process started of each node
	closed bool
}

// New makes a demo without starting it.
func New(cfg Config) *Demo {
	if cfg.Console == "" {
		cfg.Console = "unibus-tui"
	}
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = time.Minute
	}
	if cfg.CheckReady == nil {
		cfg.CheckReady = adminReady
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Demo{cfg: cfg, log: log, nodes: map[string]*process{}}
}

// Open creates all files, starts every node, waits until all serve and writes
// demo.json. If it fails it stops what it started; a named directory stays, with
// the nodes' logs. KindRefused if the directory is not empty.
func (d *Demo) Open(ctx context.Context) error {
	err := d.open(ctx)
	if err != nil {
		_ = d.Close() // the caller needs the first error
	}
	return err
}

func (d *Demo) open(ctx context.Context) error {
	if err := d.cfg.Check(); err != nil {
		return err
	}
	if err := d.prepareDir(); err != nil {
		return err
	}
	nodes, desc, err := d.seed(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.childLauncher = newLauncher()
	d.mu.Unlock()
	for i, n := range nodes {
		p, err := d.startNode(n.Name)
		if err != nil {
			return err
		}
		desc.Nodes[i].PID = p.pid()
	}
	d.setDescription(desc)
	ctx, cancel := context.WithTimeout(ctx, d.cfg.StartTimeout)
	defer cancel()
	for _, n := range nodes {
		if err := d.awaitNode(ctx, n.Name); err != nil {
			return err
		}
		d.log.Info("node serves", "node", n.Name, "listen", n.Listen)
	}
	return desc.write(d.dir)
}

// prepareDir creates the directory of the demo.
func (d *Demo) prepareDir() error {
	if d.cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "unibus-demo-")
		if err != nil {
			return core.Errorf(core.KindFailed, "no temporary directory can be made: %w", err).WithNext("name one with --dir")
		}
		d.dir, d.dirIsTemporary = dir, true
		return nil
	}
	dir, err := filepath.Abs(d.cfg.Dir)
	if err != nil {
		return core.Errorf(core.KindInvalid, "--dir: %s is not a path: %w", d.cfg.Dir, err)
	}
	if err := createEmptyDir(dir); err != nil {
		return err
	}
	d.dir = dir
	return nil
}

// seed creates every file of the demo before the first process starts.
func (d *Demo) seed(ctx context.Context) ([]config.Node, Description, error) {
	desc := Description{Cluster: clusterName, CA: filepath.Join(d.dir, clientCADir, keys.CACertFile)}
	if err := writeAuthorities(d.dir); err != nil {
		return nil, desc, err
	}
	ops, files, err := writeOperators(d.dir)
	if err != nil {
		return nil, desc, err
	}
	desc.Identities = files
	addrs, err := loopback.FreeAddresses(2 * d.cfg.Nodes)
	if err != nil {
		return nil, desc, err
	}
	nodes := nodeConfigs(d.cfg, d.dir, ops, addrs)
	seed, id, err := keys.GenerateCluster()
	if err != nil {
		return nil, desc, err
	}
	desc.ClusterKey = id.Public()
	for _, n := range nodes {
		if err := errors.Join(writeNode(d.dir, n), keepClusterKey(n.Data, seed)); err != nil {
			return nil, desc, err
		}
		desc.Nodes = append(desc.Nodes, Node{Name: n.Name, URL: "tls://" + n.Listen, DataDir: n.Data})
	}
	desc.Console = consoleCommand(desc, d.cfg.Console)
	if d.cfg.Store == core.BackendKV {
		return nodes, desc, nil
	}
	desc.LegacyDB = nodes[0].DB
	desc.Identities.Users, err = d.seedDatabase(ctx, nodes[0].DB)
	return nodes, desc, err
}

// seedDatabase writes the sample into the SQLite database, and the seeds of some
// users to files.
func (d *Demo) seedDatabase(ctx context.Context, db string) ([]string, error) {
	sample, err := NewSample(SampleConfig{
		Users: d.cfg.Users, Rooms: d.cfg.Rooms, Identities: min(identityUsers, d.cfg.Users), Now: time.Now(), Keys: d.cfg.Keys,
	})
	if err != nil {
		return nil, err
	}
	if err := writeDatabase(ctx, db, sample.Snapshot); err != nil {
		return nil, err
	}
	return writeUsers(d.dir, sample.Seeds)
}

// startNode starts a node as a child that dies with this process.
func (d *Demo) startNode(node string) (*process, error) {
	cmd, err := nodeCommand(d.cfg.Binary, nodePath(d.dir, node, configFile), nodePath(d.dir, node, logFile), d.cfg.Environ)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, core.Errorf(core.KindRefused, "the demo is ending")
	}
	p, err := d.childLauncher.start(cmd)
	if err != nil {
		return nil, err
	}
	d.nodes[node] = p
	return p, nil
}

func (d *Demo) awaitNode(ctx context.Context, node string) error {
	d.mu.Lock()
	p := d.nodes[node]
	d.mu.Unlock()
	return awaitReady(ctx, p, node, nodePath(d.dir, node, logFile), func(ctx context.Context) error {
		return d.cfg.CheckReady(ctx, d.Description(), node)
	})
}

func (d *Demo) setDescription(desc Description) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.desc = desc
}

// Dir is the directory of the demo; "" before Open.
func (d *Demo) Dir() string { return d.dir }

// Description says where everything is. The process ids are those of Open.
func (d *Demo) Description() Description {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.desc
}

// Close stops every node at the same time, including those that `demo start`
// started. It kills a node that has not stopped after ten seconds, removes
// demo.json, and removes a temporary directory. A second call does nothing.
func (d *Demo) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	nodes, desc, launcher := d.nodes, d.desc, d.childLauncher
	d.mu.Unlock()

	stopChildren(nodes)
	err := stopOthers(desc)
	if launcher != nil {
		launcher.close()
	}
	if d.dir == "" {
		return err
	}
	_ = os.Remove(filepath.Join(d.dir, descriptionFile)) // may never have been written
	if d.dirIsTemporary {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}
