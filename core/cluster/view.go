package cluster

import (
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// View is what one node saw of the whole cluster at one moment. It is a value:
// no code changes a View after it was made, so it may be shared.
type View struct {
	Cluster         string             `json:"cluster"`
	At              core.Millis        `json:"at"`                  // when the last answer came in
	From            string             `json:"from"`                // the node that looked
	Clustered       bool               `json:"clustered"`           // false: a node without routes, no meta group and no buckets
	Expected        int                `json:"expected"`            // how many nodes are configured (routes)
	Authority       *core.Authority    `json:"authority,omitempty"` // nil: no record, or not readable
	Serving         Serving            `json:"serving"`             // what the looking node itself serves
	Meta            Meta               `json:"meta"`
	Nodes           []Node             `json:"nodes"`                     // by name; those that are known and do not answer included
	Unknown         []UnknownServer    `json:"unknown_servers,omitempty"` // servers that answer and are no nodes of this cluster, by name
	DuplicateNames  []DuplicateName    `json:"twins,omitempty"`           // names under which several servers are connected, by name
	Buckets         []Bucket           `json:"buckets"`                   // the five of the control plane, in the order of core.Tables; absent ones are missing
	InternalBuckets []Bucket           `json:"mechanism,omitempty"`       // the buckets and streams beside the five
	Lost            []LostStream       `json:"lost_streams,omitempty"`    // by name
	Removed         []core.NodeChange  `json:"removed_nodes,omitempty"`   // nodes that a command removed, by name
	Added           []core.NodeChange  `json:"added_nodes,omitempty"`     // nodes that a command added, by name
	Maintenance     []core.Maintenance `json:"maintenance,omitempty"`     // nodes that an admin has drained, by name; those alone that have not ended
	Counts          *core.Counts       `json:"counts,omitempty"`          // what the store holds; nil while it cannot be read
	CountsAt        core.Millis        `json:"counts_at,omitempty"`       // when Counts was read
	Moving          string             `json:"moving,omitempty"`          // the state of a migration under way, "" without one
	Soak            *Soak              `json:"soak,omitempty"`            // nil without one

	Backups *core.BackupRecord `json:"backups,omitempty"` // of scheduled backups; nil: not known

	Streams      []string `json:"streams,omitempty"`       // the buckets and streams that the looking node has ever seen, by name
	KnowsStreams bool     `json:"knows_streams,omitempty"` // the looking node has seen streams of this cluster, now or in an earlier run
}

// LostStream is a stream of the control plane that was deleted, or deleted and created again.
type LostStream struct {
	Name      string      `json:"name"`                // UNIBUS_users
	Created   core.Millis `json:"created"`             // when the stream that was lost had been created
	Recreated core.Millis `json:"recreated,omitempty"` // when the one in its place was; 0: there is none
	Since     core.Millis `json:"since"`               // when the loss was seen first
}

// Soak is the time after a cutover in which a rollback is possible.
type Soak struct {
	Node  string      `json:"node"`  // it keeps the SQLite file
	Since core.Millis `json:"since"` // the cutover
}

// Serving is what one node says of the store that it serves.
type Serving struct {
	Backend core.Backend `json:"backend"` // "none" while the node serves no store
	Reason  string       `json:"reason,omitempty"`
	Next    string       `json:"next,omitempty"` // what to do about the reason, at that node
	File    string       `json:"file,omitempty"` // the SQLite file, where that is served or configured and there
}

// AllBuckets are the buckets of the control plane, then the internal ones.
func (v View) AllBuckets() []Bucket { return slices.Concat(v.Buckets, v.InternalBuckets) }

// Meta is JetStream's own raft group.
type Meta struct {
	Leader  string   `json:"leader,omitempty"`  // "" without a leader
	Leaders []string `json:"leaders,omitempty"` // every distinct leader that answers named; more than one is critical
	Size    int      `json:"size"`
	Online  int      `json:"online"`
	// OnlineSince is when the last of them came online, as this node saw it: an election that
	// could not succeed before begins then.
	OnlineSince core.Millis `json:"online_since,omitempty"`
	Needed      int         `json:"needed"` // quorum
	Pending     int         `json:"pending"`
	Since       core.Millis `json:"since,omitempty"`        // the present leader, or the want of one, was first seen then
	Last        string      `json:"last_leader,omitempty"`  // the last leader there was
	OrphanPeers []string    `json:"ghosts,omitempty"`       // peers that are not configured nodes
	Members     []string    `json:"members,omitempty"`      // without a leader: by the word of nodes that hold streams
	NoRoute     bool        `json:"no_route,omitempty"`     // without a leader: the looking node has heard no other server since its start, so that its groups wait
	RescueUntil core.Millis `json:"rescue_until,omitempty"` // Needed was lowered by a rescue, and is not after this time; 0: it was not
}

// Node is one unibusd as the looking node sees it.
type Node struct {
	Name    string      `json:"name"`
	Online  bool        `json:"online"`       // it answered just now
	HeardMS int64       `json:"heard_ms"`     // age of its last answer in ms; -1: never heard
	ID      string      `json:"id,omitempty"` // its nats-server id
	Version string      `json:"version,omitempty"`
	Started core.Millis `json:"started,omitempty"`
	CPU     float64     `json:"cpu"`                     // percent of one core
	Memory  int64       `json:"memory"`                  // bytes resident
	Conns   int         `json:"connections"`             // sessions of users, and of clients without an identity; an older node counts its own as well
	Disk    int64       `json:"disk"`                    // bytes of JetStream in use
	DiskMax int64       `json:"disk_max"`                // bytes JetStream may use
	Off     bool        `json:"jetstream_off,omitempty"` // JetStream has turned itself off there, as it does where a disk is full
	Meta    string      `json:"meta"`                    // leader, follower or ""
	Leads   []string    `json:"leads,omitempty"`         // tables, and streams beside the five, whose group it leads
	Info    *Info       `json:"info,omitempty"`          // what it says of itself; the last known while it is away
	ClockMS int64       `json:"clock_ms,omitempty"`      // how far its clock is ahead of the looking node's, in ms

	Relayed bool      `json:"relayed,omitempty"` // it is online, and the looking node knows so from another one: it cannot ask it
	Unheard []Unheard `json:"unheard,omitempty"` // the nodes that are up and do not hear it, by name
}

// Info is what a node says of itself when a peer asks.
type Info struct {
	Name           string          `json:"name"`
	Version        string          `json:"version"`
	Protocols      core.Protocols  `json:"protocols,omitzero"` // zero: an older node
	UsersWithEnd   int             `json:"users_with_end,omitempty"`
	PID            int             `json:"pid"`
	BusAuth        core.BusAuth    `json:"bus_auth"`
	TLS            bool            `json:"tls"`
	Listen         string          `json:"listen"`
	Loopback       bool            `json:"loopback"` // the listener cannot be reached from other machines
	Store          core.Backend    `json:"store"`    // what --store says
	Replicas       int             `json:"replicas"`
	Serving        Serving         `json:"serving"`
	Journal        *core.Authority `json:"journal,omitempty"`    // the authority its journal holds
	Ready          bool            `json:"ready,omitempty"`      // it has the buckets' rows in memory, whether it serves them or not
	CertUntil      core.Millis     `json:"cert_until,omitempty"` // of the certificate in force that ends first
	ProvenMS       int64           `json:"proven_ms"`            // age of the barrier that admission relies on in ms; -1: none, or SQLite
	SyncWrites     bool            `json:"sync_writes"`
	Fingerprint    string          `json:"fingerprint,omitempty"`  // of the SQLite file it has, to tell several apart
	DiskFree       *int64          `json:"disk_free,omitempty"`    // bytes free in its data directory; nil: not known
	Channels       []string        `json:"channels,omitempty"`     // of the connections that its clients have: auth.Channel
	ClusterKey     string          `json:"cluster_key,omitempty"`  // the cluster's public key as it knows it; "" while it does not
	OwnKey         string          `json:"own_key,omitempty"`      // the key in its data directory, where that is another one
	Quotas         map[string]int  `json:"quotas,omitempty"`       // of users, by the names of their settings
	Sessions       *int            `json:"sessions,omitempty"`     // of users, and of clients without an identity; nil: not known
	Operators      *Operators      `json:"operators,omitempty"`    // nil: an older node
	Hears          []string        `json:"hears,omitzero"`         // the nodes that answered it lately, itself not among them; nil: an older node
	Routes         []Route         `json:"routes,omitempty"`       // by address, its own not among them
	OwnRoutes      []string        `json:"own_routes,omitempty"`   // the addresses in its configuration that lead to itself; nil: an older node, or none does
	RouteListen    string          `json:"route_listen,omitempty"` // the address on which it accepts routes; its host may be any. "": an older node
	RouteCert      string          `json:"route_cert,omitempty"`   // the file of its certificate for routes
	Unit           string          `json:"unit,omitempty"`         // of the service manager that runs it, such as unibusd; "" without one
	Repeated       []RepeatedLine  `json:"repeated,omitempty"`     // what it logs again and again
	Relayed        []Relayed       `json:"relayed,omitempty"`      // in its answer alone: of nodes that the asking one does not hear
	ID             string          `json:"id,omitempty"`           // its nats-server id
	Host           string          `json:"host,omitempty"`         // what it calls its machine
	Started        core.Millis     `json:"started,omitempty"`      // when this run began
	DuplicateNames []DuplicateName `json:"twins,omitempty"`        // names that it hears several servers under
	FileFaults     []FileFault     `json:"file_faults,omitempty"`  // bundles of CAs and lists of revoked certificates that it cannot use
	DiskComparison *DiskComparison `json:"in_force,omitempty"`     // nil: an older node, or it has just started
	Now            core.Millis     `json:"now,omitempty"`          // by its clock, as it answered
	DataID         string          `json:"data_id,omitempty"`      // of its data directory; another one after the directory was emptied

	Renewed map[string]core.Millis `json:"renewed,omitempty"` // nodes that were seen with another DataID than before, and when

	Streams []string `json:"stored_streams,omitzero"` // of which it has a directory on disk, as buckets are named; nil: an older node, or it cannot be read

	Backups *BackupSchedule `json:"backup_schedule,omitempty"` // nil: it makes no scheduled backups

	ListsNodes        bool               `json:"lists_nodes,omitempty"`        // its configuration names the nodes: a command can change them
	Membership        []core.NodeChange  `json:"membership,omitempty"`         // which nodes commands have added and removed, as it knows them
	Maintenance       []core.Maintenance `json:"maintenance,omitempty"`        // what was decided about nodes in maintenance, as it knows it; ended ones too
	MembershipUnsaved string             `json:"membership_unsaved,omitempty"` // why that is not on disk
}

// BackupSchedule is what a node says of the backups that it makes when it is its turn.
type BackupSchedule struct {
	To        string `json:"to"`
	EveryMS   int64  `json:"every_ms"`
	At        string `json:"at,omitempty"` // "03:00 Europe/Berlin": once a day then; "": every so often after the last one
	Keep      int    `json:"keep"`
	Encrypted bool   `json:"encrypted"`
}

// Next is when the next backup is due after the last one, 0 if there was none; false where that
// is not known. It may have passed.
func (s BackupSchedule) Next(last core.Millis) (time.Time, bool) {
	if last == 0 {
		return time.Time{}, false
	}
	if s.At == "" {
		return last.Time().Add(time.Duration(s.EveryMS) * time.Millisecond), true
	}
	at, zone, _ := strings.Cut(s.At, " ")
	d, err := core.ParseDailyTime(at, zone)
	if err != nil { // of a newer release
		return time.Time{}, false
	}
	return d.Next(last.Time()), true
}

// Operators is what a node says of its operators. All of it is public: keys, roles and names.
type Operators struct {
	List       []core.Operator        `json:"list"`                  // those in force, by key
	Removed    []core.RemovedOperator `json:"removed,omitempty"`     // removed by command, by key
	Leftover   []core.Operator        `json:"leftover,omitempty"`    // removed ones that the configuration still names
	File       string                 `json:"file,omitempty"`        // the configuration file; "" without one
	Fault      string                 `json:"fault,omitempty"`       // why the file cannot be used
	FaultSince core.Millis            `json:"fault_since,omitempty"` // of Fault
	Unsaved    string                 `json:"unsaved,omitempty"`     // why Removed is not on disk
}

// Bucket is one replicated stream and its raft group.
type Bucket struct {
	Name     string      `json:"name"` // UNIBUS_users
	Wanted   int         `json:"replicas_wanted"`
	Leader   string      `json:"leader,omitempty"`
	Replicas []Replica   `json:"replicas"` // the leader included, by node
	Keys     int         `json:"keys"`     // messages in the stream
	Bytes    int64       `json:"bytes"`
	LastSeq  uint64      `json:"last_seq"`
	Since    core.Millis `json:"since,omitempty"`   // the present leader was first seen then
	Waiting  string      `json:"waiting,omitempty"` // what a scale or move waits for
	Loss     *SeqLoss    `json:"loss,omitempty"`    // without a leader; nil: not known

	// Creating is true of a stream that was created just now and elects its first leader.
	Creating bool `json:"creating,omitempty"`
}

// ReplicaState says how one replica stands to its leader.
type ReplicaState string

// The states of a replica.
const (
	ReplicaCurrent ReplicaState = "current"
	ReplicaBehind  ReplicaState = "behind"
	ReplicaOffline ReplicaState = "offline"
	ReplicaUnknown ReplicaState = "unknown" // no node that knows could be asked
)

// Replica is one copy of a bucket.
type Replica struct {
	Node  string       `json:"node"`
	State ReplicaState `json:"state"`
	Lag   uint64       `json:"lag"` // operations behind the leader
}

// Level of a finding. A note changes no verdict and no exit code.
type Level string

// The levels, which are also the verdicts (but for the note).
const (
	Healthy  Level = "healthy"
	Note     Level = "note"
	Degraded Level = "degraded"
	Critical Level = "critical"
)

// Finding is one thing that an operator should know.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"` // node.n2, bucket.UNIBUS_users, meta, authority, config
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"` // what to do
}

// Judgment is what a View means.
type Judgment struct {
	Verdict  Level     `json:"verdict"`      // healthy, degraded or critical: the worst finding
	Sentence string    `json:"sentence"`     // first what is true, then what it means
	Do       string    `json:"do,omitempty"` // what to do next
	Findings []Finding `json:"findings"`     // worst first
}

// Event is one thing that happened, as a node's recorder saw it.
type Event struct {
	Seq   uint64      `json:"seq"` // counted by the recording node since its start
	At    core.Millis `json:"at"`
	Level Level       `json:"level"`
	About string      `json:"about"` // node, bucket or operator it is about
	Text  string      `json:"text"`
	Kind  EventKind   `json:"kind,omitempty"` // "" for most
}

// EventKind is the kind of an Event that is counted.
type EventKind string

// EventElection is that of a group which has another leader, or one again.
const EventElection EventKind = "election"

// Reachable is true of a node that the looking one can ask.
func (n Node) Reachable() bool { return n.Online && !n.Relayed }

// Age is how old a moment is at now; 0 for the future.
func Age(m core.Millis, now time.Time) time.Duration { return max(0, now.Sub(m.Time())) }
