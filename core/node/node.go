package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/backup"
	"unibus/core/bus"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/control"
	"unibus/core/events"
	"unibus/core/keys"
	"unibus/core/metrics"
	"unibus/core/migrate"
	"unibus/core/store/kv"
	"unibus/core/webhook"
)

// Config is everything a node needs to know.
type Config struct {
	config.Node
	Version string
	Log     *slog.Logger
	Source  *config.Source   // where Node was read from, to read the operators again; nil: they never change
	Hangup  <-chan os.Signal // Run reads the operators again at each; nil: never
	LogFile *os.File         // where Log writes, to tell when it was deleted; nil: not a file

	SeenEvery time.Duration // between two writes of when users had a session last; 0: 10 min
	OldKeys   time.Duration // between two passes that delete old sealed keys; 0: 6 h
	CertCheck time.Duration // the shortest time between two checks of a certificate file; 0: 2 s
}

// Node is one unibusd.
type Node struct {
	cfg       Config
	log       *slog.Logger
	failed    chan error // why the node cannot continue
	protocols core.Protocols

	started time.Time

	// The bus, and the parts that decide whom it admits.
	lock        *directoryLock
	journal     *migrate.FileJournal
	identities  identities
	storeHandle core.StoreHandle
	auth        *auth.Authenticator
	bus         *bus.Server
	conns       connections
	sessions    *sessions
	lastSeen    lastSeen
	retention   keyRetention
	soft        *softAdmissions

	// The cluster.
	recorder       cluster.Recorder
	events         *events.Log
	webhooks       *webhook.Sender // nil without a webhook
	recorded       uint64          // the last line of the recorder that events have; of the observer's goroutine
	observer       *cluster.Observer
	observing      background
	peers          *peers
	routes         *routeWatch
	repeats        *repeatFilter                           // of the log
	logRing        *ringState                              // the end of the log
	unit           string                                  // of the service manager
	seenDuplicates atomic.Pointer[[]cluster.DuplicateName] // by the last observation
	clusterKey     *clusterKey
	dataIDs        dataIDs
	diskCompare    diskComparer
	blocks         blockReadings

	membership    membership
	maintenance   replicatedList[core.Maintenance]
	draining      background
	changingNodes sync.Mutex // held while a node is added or removed by command

	// The control plane.
	selector      *storeSelector
	controlPlane  background   // follows the control record and the SQLite file
	controlRecord *kv.Control  // nil without routes
	migration     *migrate.Job // nil without routes
	gc            gcTuner
	rowCounts     rowCounts
	fingerprint   fileFingerprint

	// The services.
	audit   *audit.Log
	nonces  clusterNonces
	replay  *auth.Replay // of operators' requests
	backups *backup.Server

	restores *backup.ClusterRestorer // nil without routes

	schedule   atomic.Pointer[backup.Scheduler] // nil before it is opened; the observer asks earlier
	scheduling background

	admin   *admin.Service
	control *control.Service
	metrics *metrics.Server // nil without --metrics-listen

	// The operators.
	operators     atomic.Pointer[map[string]core.Operator] // by key: configured, and not removed by command
	reloading     sync.Mutex
	configured    []core.Operator  // as the configuration has them; guarded by reloading
	removed       removedOperators // guarded by reloading
	removing      sync.Mutex       // held during one removal by command
	configFault   atomic.Pointer[configFault]
	needRestart   atomic.Pointer[[]string] // settings that the configuration file has otherwise
	operatorWatch background               // the configuration file, and the ends of keys

	mu     sync.Mutex
	opened []part
}

// part is one step of the boot, and how it is undone.
type part struct {
	name  string
	open  func(ctx context.Context) error
	close func(ctx context.Context) error
}

// closeTimeout bounds an ordered stop. A leader hands over in about 20 ms.
const closeTimeout = 15 * time.Second

// New does no I/O.
func New(cfg Config) *Node {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ring := newLogRing(cfg.Log.Handler())
	repeats := newRepeatFilter(ring)
	n := &Node{
		cfg: cfg, log: slog.New(repeats).With("node", cfg.Name), repeats: repeats, logRing: ring.state, unit: serviceUnit(),
		failed: make(chan error, 1), started: time.Now(), protocols: core.OwnProtocols(),
	}
	n.routes = newRouteWatch(cfg.Name, func(ctx context.Context, others []string) []bus.RouteProbe { return n.bus.ProbeRoutes(ctx, others...) })
	n.routes.learned.path = filepath.Join(cfg.Data, learnedAddressesFile)
	n.routes.learned.hosts = func() map[string]string { return n.bus.PeerHosts() }
	n.sessions, n.soft = newSessions(n), newSoftAdmissions(time.Now())
	operators := operatorsByKey(cfg.Operators)
	n.operators.Store(&operators)
	n.configured, n.removed = cfg.Operators, newRemovedOperators(cfg.Data)
	n.membership = membership{newNodeList[core.NodeChange](filepath.Join(cfg.Data, membershipFile))}
	n.maintenance = newNodeList[core.Maintenance](filepath.Join(cfg.Data, maintenanceFile))
	n.selector = newStoreSelector(n)
	n.clusterKey = newClusterKey(n, filepath.Join(cfg.Data, keys.ClusterKeyFile))
	return n
}

// parts is the order of the boot, with the reason for each place.
func (n *Node) parts() []part {
	parts := []part{
		{"identities", n.openIdentities, nil},                 // in memory alone; the bus asks the authenticator at once
		{"data directory", n.openDirectory, n.closeDirectory}, // before any write: two daemons in one directory would ruin it
	}
	if !n.cfg.Clustered() {
		// Alone, the store is open before the bus listens: no user is refused at start.
		parts = append(parts, part{"control plane", n.openControlPlane, n.closeControlPlane})
	}
	parts = append(parts,
		part{"name", n.checkName, nil}, // before the bus: a second node of this name must not say anything to the cluster
		part{"bus", n.openBus, n.closeBus},
		part{"connections", n.openConnections, n.closeConnections},
		part{"peers", n.openPeers, n.closePeers},
		part{"events", n.openEvents, n.closeEvents}, // before the observer, which hands them what it sees
		part{"observer", n.openObserver, n.closeObserver},
	)
	if n.cfg.Clustered() {
		// In a cluster the record of authority is read over the bus, and may take a
		// quorum's time. Meanwhile the console can already show why.
		parts = append(parts, part{"control plane", n.openControlPlane, n.closeControlPlane})
	}
	return append(parts,
		part{"maintenance", n.openMaintenance, n.closeMaintenance},           // after the observer, which says what this node leads
		part{"sessions", n.openSessions, n.closeSessions},                    // after bus and store: it compares the two
		part{"last seen", n.openLastSeen, n.closeLastSeen},                   // after the bus, whose sessions it records
		part{"cluster key", n.openClusterKey, n.closeClusterKey},             // before the services, which prove it
		part{"audit", n.openAudit, n.closeAudit},                             // before the service whose every action it records
		part{"backup server", n.openBackups, n.closeBackups},                 // before the service that hands the backups out
		part{"restores", n.openRestores, n.closeRestores},                    // before the service that brings them
		part{"scheduled backups", n.openSchedule, n.closeSchedule},           // before the service that asks for one, and after the key that signs them
		part{"control service", n.openControlService, n.closeControlService}, // after sessions, which it ends, and the nonces, which it shares
		part{"key retention", n.openKeyRetention, n.closeKeyRetention},       // after the store, of which it deletes
		part{"operators' service", n.openAdminService, n.closeAdminService},
		part{"reading of the blocks", n.openBlockReading, n.closeBlockReading},
		part{"comparison with the disk", n.openDiskComparison, n.closeDiskComparison}, // after all that is compared
		part{"operators", n.openOperators, n.closeOperators},                          // it ends sessions and tells the peers
		part{"metrics", n.openMetrics, n.closeMetrics},                                // last: they show all of it
	)
}

// Open starts the node. In a cluster it does not wait for a quorum. If a part fails,
// those before it are closed again.
func (n *Node) Open(ctx context.Context) error {
	n.warnIfExposed()
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
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
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
	n.repeats.flushAll()
	return errors.Join(errs...)
}

// Run serves until ctx ends or the embedded server cannot continue, and stops in
// order. It tells a service manager when the node is ready and when it stops.
func (n *Node) Run(ctx context.Context) error {
	if err := n.Open(ctx); err != nil {
		if ctx.Err() != nil {
			n.log.Info("stopped while starting", "error", err)
			return nil
		}
		return err
	}
	n.notifyServiceManager(daemon.SdNotifyReady)
	cause := n.wait(ctx)
	n.notifyServiceManager(daemon.SdNotifyStopping)
	n.log.Info("stopping")
	return errors.Join(cause, n.Close())
}

// wait returns nil when ctx ends, and the cause when the embedded server fails.
func (n *Node) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case cause := <-n.failed:
			return cause
		case <-n.cfg.Hangup:
			if err := n.reloadSettled(ctx); err != nil {
				n.log.Error("the configuration cannot be used; the operators stay as they are", "error", err)
			}
		}
	}
}

func (n *Node) notifyServiceManager(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("could not notify the service manager", "state", state, "error", err)
	}
}

// warnIfExposed warns of a bus that other machines can reach unprotected.
func (n *Node) warnIfExposed() {
	if config.Loopback(n.cfg.Listen) {
		return
	}
	if !n.cfg.TLS() {
		n.log.Warn("other machines can reach the bus, and it has no TLS: give --tls-cert and --tls-key")
	}
	if n.cfg.BusAuth != core.BusAuthEnforce {
		n.log.Warn("other machines can reach the bus, and it admits everybody: give --bus-auth enforce", "bus-auth", n.cfg.BusAuth)
	}
}

// busConfig translates the node's settings for its bus.
func (n *Node) busConfig() bus.Config {
	cfg := bus.Config{
		Name: n.cfg.Name, DataDir: n.cfg.Data, Listen: n.cfg.Listen,
		CertFile: n.cfg.TLSCert, KeyFile: n.cfg.TLSKey, TLSFirst: n.cfg.TLSFirst,
		JetStream:    n.cfg.Clustered(), // a standalone server's streams would be lost when it joins a cluster
		RescanBlocks: n.cfg.Clustered(), // stored blocks are checked at start and healed from the peers
		Debug:        n.cfg.NatsDebug, Logger: n.log, CertCheck: n.cfg.CertCheck,
		Limits: bus.Limits{Connections: n.cfg.MaxConnections, PerAddress: n.cfg.MaxConnectionsPerAddress},
		Fatal: func(text string) {
			n.fail(core.Errorf(core.KindFailed, "the embedded server cannot continue: %s", text))
		},
	}
	if n.cfg.Clustered() {
		cfg.Cluster = &bus.Cluster{
			Name: n.cfg.ClusterName, Listen: n.cfg.ClusterListen, Routes: n.cfg.Routes,
			CertFile: n.cfg.RouteTLSCert, KeyFile: n.cfg.RouteTLSKey, CAFile: n.cfg.RouteTLSCA,
			CRLFile: n.cfg.RouteTLSCRL, CheckNode: func(name string) error { return n.membership.checkRoute(n.cfg.Nodes, name) },
		}
	}
	return cfg
}

func (n *Node) checkName(ctx context.Context) error { return n.bus.CheckName(ctx) }

func (n *Node) openBus(ctx context.Context) error { return n.bus.Open(ctx) }

func (n *Node) closeBus(ctx context.Context) error { return n.bus.Close(ctx) }

// fail ends the node: Run returns the cause.
func (n *Node) fail(cause error) {
	select {
	case n.failed <- cause:
	default: // the first reason stays
	}
}
