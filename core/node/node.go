package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/backup"
	"unibus/core/bus"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/migrate"
)

// Config is everything a node needs to know.
type Config struct {
	config.Node
	Version string
	Log     *slog.Logger
	Source  *config.Source   // where Node came from, to read the operators again; nil: they never change
	Hangup  <-chan os.Signal // Run reads the operators again at each; nil: none
}

// Node is one unibusd.
type Node struct {
	cfg    Config
	log    *slog.Logger
	failed chan error // the embedded server cannot go on

	lock     *dirLock
	journal  *migrate.FileJournal
	ids      identities
	holder   core.StoreHandle
	auth     *auth.Authenticator
	bus      *bus.Server
	conns    connections
	recorder cluster.Recorder
	observer *cluster.Observer
	looking  context.CancelFunc // ends the observer
	peers    *peers
	plane    *plane
	sessions *sessions
	soft     *softTable
	proof    proof
	desk     *backup.Desk

	clusterKey *clusterKey

	admin   *admin.Service
	control *control.Service

	operators  atomic.Pointer[map[string]core.Operator] // by key: those of the configuration who were not removed by command
	configured []core.Operator                          // as the configuration has them; guarded by reloading
	removals   removals                                 // guarded by reloading
	removing   sync.Mutex                               // one removal by command at a time
	fileFault  atomic.Pointer[fileFault]                // why the configuration file cannot be used; nil: it can
	reloading  sync.Mutex
	watching   context.CancelFunc // ends the watch of the configuration file
	watch      sync.WaitGroup

	mu     sync.Mutex
	opened []part
}

// part is one step of the boot: what Open does, and what Close does about it.
type part struct {
	name  string
	open  func(ctx context.Context) error
	close func(ctx context.Context) error
}

// stopWithin bounds an ordered stop; a leader hands over in about 20 ms (FACTS).
const stopWithin = 15 * time.Second

// New does no I/O.
func New(cfg Config) *Node {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, log: cfg.Log.With("node", cfg.Name), failed: make(chan error, 1)}
	n.sessions, n.soft = newSessions(n), newSoftTable(time.Now())
	operators := operatorsByKey(cfg.Operators)
	n.operators.Store(&operators)
	n.configured, n.removals.path = cfg.Operators, filepath.Join(cfg.Data, removalsFile)
	n.plane = newPlane(n)
	n.clusterKey = &clusterKey{n: n, known: make(chan struct{}), path: filepath.Join(cfg.Data, keys.ClusterKeyFile)}
	return n
}

// parts is the order of the boot, with the reason for each place.
func (n *Node) parts() []part {
	parts := []part{
		{"identities", n.openIdentities, nil},     // first, in memory alone: the bus asks the authenticator at once
		{"data directory", n.openDir, n.closeDir}, // before anything is written: two daemons on one directory would ruin it
	}
	if !n.cfg.Clustered() {
		// Alone, the store is there before the bus listens: nobody is turned away at start.
		parts = append(parts, part{"control plane", n.openPlane, n.closePlane})
	}
	parts = append(parts,
		part{"bus", n.openBus, n.closeBus},
		part{"connections", n.openConnections, n.closeConnections},
		part{"peers", n.openPeers, n.closePeers},
		part{"observer", n.openObserver, n.closeObserver},
	)
	if n.cfg.Clustered() {
		// In a cluster the record of authority is read over the bus, and may take a
		// quorum's time: meanwhile the console can already show why.
		parts = append(parts, part{"control plane", n.openPlane, n.closePlane})
	}
	parts = append(parts, part{"sessions", n.openSessions, n.closeSessions}) // after bus and store: it compares the two
	return append(parts,
		part{"cluster key", n.openClusterKey, n.closeClusterKey}, // before the services, which prove it
		part{"audit", n.openAudit, n.closeAudit},                 // before the service, whose every action it records
		part{"backups' desk", n.openDesk, n.closeDesk},
		part{"control service", n.openControl, n.closeControl}, // after sessions and audit: it ends the ones, and shares the other's nonces
		part{"operators' service", n.openAdmin, n.closeAdmin},
		part{"operators", n.openOperators, n.closeOperators}, // last: it ends sessions and tells the peers
	)
}

// Open starts the node. In a cluster it does not wait for a quorum. When a part
// fails those before it are closed again.
func (n *Node) Open(ctx context.Context) error {
	n.warn()
	for _, p := range n.parts() {
		n.log.Debug("opening", "part", p.name)
		if err := p.open(ctx); err != nil {
			return errors.Join(err, n.Close())
		}
		n.mu.Lock()
		n.opened = append(n.opened, p)
		n.mu.Unlock()
	}
	n.log.Info("serving", "listen", n.bus.Addr(), "bus-auth", n.cfg.BusAuth, "tls", n.cfg.TLS(), "clustered", n.cfg.Clustered())
	return nil
}

// Close stops the parts in reverse order. Twice is harmless.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	n.mu.Lock()
	parts := n.opened
	n.opened = nil
	n.mu.Unlock()
	var errs []error
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i].close == nil {
			continue
		}
		n.log.Debug("closing", "part", parts[i].name)
		if err := parts[i].close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", parts[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends or the embedded server cannot go on, and stops in
// order. A service manager is told when the node is ready and when it stops.
func (n *Node) Run(ctx context.Context) error {
	if err := n.Open(ctx); err != nil {
		if ctx.Err() != nil {
			n.log.Info("stopped while starting", "error", err)
			return nil
		}
		return err
	}
	n.notify(daemon.SdNotifyReady)
	cause := n.wait(ctx)
	n.notify(daemon.SdNotifyStopping)
	n.log.Info("stopping")
	return errors.Join(cause, n.Close())
}

// wait serves until ctx ends, which is nil, or the embedded server breaks.
func (n *Node) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case cause := <-n.failed:
			return cause
		case <-n.cfg.Hangup:
			if err := n.Reload(); err != nil {
				n.log.Error("the configuration cannot be used; the operators stay as they are", "error", err)
			}
		}
	}
}

func (n *Node) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

// warn logs what an operator should not have to find out.
func (n *Node) warn() {
	if config.Loopback(n.cfg.Listen) {
		return
	}
	if !n.cfg.TLS() {
		n.log.Warn("the bus can be reached from other machines and speaks no TLS: give --tls-cert and --tls-key")
	}
	if n.cfg.BusAuth != core.BusAuthEnforce {
		n.log.Warn("the bus can be reached from other machines and admits anybody: give --bus-auth enforce", "bus-auth", n.cfg.BusAuth)
	}
}

// openDir takes the data directory. What keeps the node from starting at all is
// found out before anything is made or changed in it.
func (n *Node) openDir(context.Context) error {
	info, err := os.Stat(n.cfg.Data)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		if err := checkOwn(n.cfg.Data, info); err != nil {
			return err
		}
	}
	if err := n.bus.CheckDir(); err != nil {
		return err
	}
	if !fresh { // an address in use is then told from the same node running already
		if n.lock, err = lockDir(n.cfg.Data); err != nil {
			return err
		}
	}
	if err := n.bus.CheckPorts(); err != nil {
		return errors.Join(err, n.lock.release())
	}
	if fresh {
		if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
			return core.Errorf(core.KindFailed, "the data directory %s cannot be made: %w", n.cfg.Data, err).WithNext("check --data")
		}
		if n.lock, err = lockDir(n.cfg.Data); err != nil {
			return err
		}
	}
	n.journal = migrate.NewFileJournal(filepath.Join(n.cfg.Data, "journal.json"))
	if _, err := n.journal.Load(); err != nil {
		return errors.Join(err, n.lock.release())
	}
	if err := n.openRemovals(); err != nil {
		return errors.Join(err, n.lock.release())
	}
	return nil
}

func (n *Node) closeDir(context.Context) error { return n.lock.release() }

// busConfig is what the node's settings mean for its bus.
func (n *Node) busConfig() bus.Config {
	cfg := bus.Config{
		Name: n.cfg.Name, DataDir: n.cfg.Data, Listen: n.cfg.Listen,
		CertFile: n.cfg.TLSCert, KeyFile: n.cfg.TLSKey, TLSFirst: n.cfg.TLSFirst,
		JetStream:    n.cfg.Clustered(), // a standalone server's streams would be lost when it joins (FACTS)
		RescanBlocks: n.cfg.Clustered(), // stored blocks are checked at start and healed from the peers (D11)
		Debug:        n.cfg.NatsDebug, Logger: n.log,
		Limits: bus.Limits{Connections: n.cfg.MaxConnections, PerAddress: n.cfg.MaxConnectionsPerAddress},
		Fatal: func(text string) {
			select {
			case n.failed <- core.Errorf(core.KindFailed, "the embedded server cannot go on: %s", text):
			default: // the first reason counts
			}
		},
	}
	if n.cfg.Clustered() {
		cfg.Cluster = &bus.Cluster{
			Name: n.cfg.ClusterName, Listen: n.cfg.ClusterListen, Routes: n.cfg.Routes,
			CertFile: n.cfg.RouteTLSCert, KeyFile: n.cfg.RouteTLSKey, CAFile: n.cfg.RouteTLSCA,
			CRLFile: n.cfg.RouteTLSCRL, Nodes: n.cfg.Nodes,
		}
	}
	return cfg
}

func (n *Node) openBus(ctx context.Context) error { return n.bus.Open(ctx) }

func (n *Node) closeBus(ctx context.Context) error { return n.bus.Close(ctx) }

func (n *Node) openAdmin(ctx context.Context) error {
	declared := map[string]string{}
	for _, f := range config.Declared().List() {
		declared[f.Name] = f.Value
	}
	n.admin = admin.NewService(admin.ServiceConfig{
		Conn: n.conns.admin, Node: n.cfg.Name, Declared: declared, Flags: activeFlags,
		Operator: n.operator, Guard: n.proof.guard, Prover: n.prover(), Audit: n.proof.log,
		Now:    func() core.Millis { return core.MillisOf(time.Now()) },
		Store: &n.holder, Cluster: eyes{n}, Groups: groups{n}, Sessions: n.sessions, Removal: operatorRemover{n}, Bus: onBus{n}, Migrator: n.plane.mover(), Backups: n.desk, Log: n.log,
	})
	return n.admin.Open(ctx)
}

func (n *Node) closeAdmin(context.Context) error { return n.admin.Close() }
