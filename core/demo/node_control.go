package demo

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"unibus/core"
)

// Stop stops a node of the demo in dir, from any process: it signals the process
// that holds the node's lock, and waits until the lock is free. KindConflict if
// the node is not running; KindUnavailable if it has not stopped when ctx is done,
// or after 20 s.
func Stop(ctx context.Context, dir, node string) error {
	d, err := Load(dir)
	if err != nil {
		return err
	}
	n, err := d.Node(node)
	if err != nil {
		return err
	}
	pid, err := signalLockHolder(n.DataDir, syscall.SIGTERM)
	if err != nil {
		return err
	}
	if pid == 0 {
		return core.Errorf(core.KindConflict, "%s is not running", node).
			WithNext("`unibusd demo start %s --dir %s` starts it", node, dir)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stopTimeout)
	defer cancel()
	return awaitUnlocked(ctx, n.DataDir)
}

// StartConfig says which node of which demo to start, and how.
type StartConfig struct {
	Dir        string
	Node       string
	Binary     string     // path of unibusd
	Environ    []string   // as in Config
	CheckReady ReadyCheck // nil: AdminReady
}

// Start starts a node that was stopped or killed. The process outlives the caller
// and ends with the demo. Start returns once the node serves, within a minute, and
// records its process in demo.json. KindExists if it is running.
func Start(ctx context.Context, cfg StartConfig) error {
	d, err := Load(cfg.Dir)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return core.Errorf(core.KindInvalid, "--dir: %s is not a path: %w", cfg.Dir, err)
	}
	if err := requireStopped(d, cfg.Node); err != nil {
		return err
	}
	log := nodePath(dir, cfg.Node, logFile)
	cmd, err := nodeCommand(cfg.Binary, nodePath(dir, cfg.Node, configFile), log, cfg.Environ)
	if err != nil {
		return err
	}
	outliveParent(cmd)
	p, err := startProcess(cmd)
	if err != nil {
		return err
	}
	ready := cfg.CheckReady
	if ready == nil {
		ready = adminReady
	}
	return awaitStarted(ctx, dir, p, cfg.Node, log, func(ctx context.Context) error { return ready(ctx, d, cfg.Node) })
}

// majorityGrace is how long to wait for a node without a majority: the other nodes
// may just be starting.
const majorityGrace = 4 * time.Second

// awaitStarted waits until a started node serves, and records its process. A node
// that waits for a majority keeps running: otherwise a cluster that was stopped
// could not be started node by node. A node that does not serve for another reason
// is stopped.
func awaitStarted(ctx context.Context, dir string, p *process, node, log string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var alone majorityError
	var since time.Time
	err := awaitReady(ctx, p, node, log, func(ctx context.Context) error {
		err := ready(ctx)
		switch {
		case !errors.As(err, &alone):
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > majorityGrace:
			return nil
		}
		return err
	})
	if err == nil {
		err = setPID(dir, node, p.pid())
		if !since.IsZero() {
			err = errors.Join(err, alone.err)
		}
		return err
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	p.stop(short)
	return err
}

func requireStopped(d Description, node string) error {
	n, err := d.Node(node)
	if err != nil {
		return err
	}
	pid, err := lockHolder(n.DataDir)
	if err != nil {
		return err
	}
	if pid != 0 {
		return core.Errorf(core.KindExists, "%s is running already, as process %d", node, pid).
			WithNext("`unibus-tui status` shows the cluster")
	}
	return nil
}

// Stop stops one node of this demo and waits for it.
func (d *Demo) Stop(ctx context.Context, node string) error { return Stop(ctx, d.dir, node) }

// Start starts a node of this demo again, as a child that dies with the demo, and
// waits until it serves.
func (d *Demo) Start(ctx context.Context, node string) error {
	if err := requireStopped(d.Description(), node); err != nil {
		return err
	}
	p, err := d.startNode(node)
	if err != nil {
		return err
	}
	return awaitStarted(ctx, d.dir, p, node, nodePath(d.dir, node, logFile), func(ctx context.Context) error {
		return d.cfg.CheckReady(ctx, d.Description(), node)
	})
}

// stopChildren stops the nodes that this process started, and kills those that are
// not done after stopTimeout.
func stopChildren(nodes map[string]*process) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range nodes {
		all.Go(func() { p.stop(ctx) })
	}
	all.Wait()
}

// stopOthers does the same for nodes that another process started.
func stopOthers(d Description) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, n := range d.Nodes {
		if _, err := signalLockHolder(n.DataDir, syscall.SIGTERM); err != nil {
			keep(err)
		}
	}
	for _, n := range d.Nodes {
		if awaitUnlocked(ctx, n.DataDir) == nil {
			continue
		}
		if _, err := signalLockHolder(n.DataDir, syscall.SIGKILL); err != nil {
			keep(err)
			continue
		}
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		keep(awaitUnlocked(last, n.DataDir))
		cancel()
	}
	return first
}
