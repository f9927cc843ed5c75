package admin

import (
	"maps"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/events"
	"unibus/core/request"
)

// Verb is one thing that can be asked of a node.
type Verb string

// The verbs. Their request and reply types stand beside them; "-" is no payload.
const (
	verbIdentify  Verb = "identify"  // binding.Request → binding.Proof: the node proves that it belongs to the cluster
	verbStatus    Verb = "status"    // - → Status
	verbEvents    Verb = "events"    // EventsRequest → Events: the lines that one node has, for the support bundle and for consoles of earlier builds
	verbHistory   Verb = "history"   // HistoryRequest → History: the events of the cluster, also of before the node's start
	verbFlags     Verb = "flags"     // - → Flags
	verbRollout   Verb = "rollout"   // - → Rollout
	verbMigration Verb = "migration" // - → migrate.Status
	verbAudit     Verb = "audit"     // AuditRequest → Audit
	verbDoctor    Verb = "doctor"    // DoctorRequest → doctor.Report: reads every replica

	verbUserPage       Verb = "user-page"       // core.UserPageRequest → core.UserPage
	verbUserGet        Verb = "user-get"        // userRequest → UserSeen, or userKeyReply
	verbUserAdd        Verb = "user-add"        // core.User (id, name, role, expires) → core.User
	verbUserRevoke     Verb = "user-revoke"     // userRequest → Revoked
	verbUserActivate   Verb = "user-activate"   // userRequest → core.User
	verbUserExtend     Verb = "user-extend"     // extendRequest → core.User
	verbUserReplace    Verb = "user-replace"    // replaceRequest → Replaced
	verbRoomPage       Verb = "room-page"       // core.RoomPageRequest → RoomPage
	verbRoomGet        Verb = "room-get"        // RoomRequest → RoomDetail
	verbRoomStatements Verb = "room-statements" // RoomStatementsRequest → RoomStatements: what its members signed about its members
	verbRoomRekey      Verb = "room-rekey"      // RekeyRequest → Asked: asks a member, who alone can

	verbSessionPage Verb = "session-page" // SessionPageRequest → SessionPage
	verbSessionEnd  Verb = "session-end"  // sessionEndRequest → SessionsEnded: the client connects again

	verbOperatorRemove Verb = "operator-remove" // operatorRequest → OperatorRemoved

	verbNodeAdd      Verb = "node-add"      // nodeRequest → NodeChanged
	verbNodeRemove   Verb = "node-remove"   // nodeRequest → NodeChanged
	verbNodeEvacuate Verb = "node-evacuate" // nodeRequest → Done
	verbNodeDrain    Verb = "node-drain"    // drainRequest → NodeDrained
	verbNodeResume   Verb = "node-resume"   // nodeRequest → NodeDrained
	verbNodeFence    Verb = "node-fence"    // nodeRequest → NodeChanged
	verbNodeRescue   Verb = "node-rescue"   // rescueRequest → Rescued

	verbBucketScale Verb = "bucket-scale" // ScaleRequest → Done
	verbStepDown    Verb = "step-down"    // stepDownRequest → Done

	verbMigrateStart   Verb = "migrate-start"   // migrate.Options → migrate.Status; to the source node
	verbMigratePause   Verb = "migrate-pause"   // - → migrate.Status; these too
	verbMigrateResume  Verb = "migrate-resume"  // - → migrate.Status
	verbMigrateAbort   Verb = "migrate-abort"   // - → migrate.Status
	verbMigrateCutover Verb = "migrate-cutover" // - → migrate.Status
	verbMigrateFinish  Verb = "migrate-finish"  // - → migrate.Status

	verbMigrateLimit    Verb = "migrate-limit"    // limitRequest → migrate.Status
	verbMigrateRollback Verb = "migrate-rollback" // - → migrate.Status

	verbSupport Verb = "support" // - → support.Report, filtered: configuration and log of the node that answers

	verbBackup     Verb = "backup"      // backupRequest → core.Backup
	verbBackupNow  Verb = "backup-now"  // - → BackupRequested: the nodes make the scheduled backup at once
	verbBackupPart Verb = "backup-part" // core.BackupPartRequest → core.BackupPart; to the node that took it

	verbRestore     Verb = "restore"      // core.RestoreRequest → core.ClusterRestored: the uploaded file fills a new cluster
	verbRestorePart Verb = "restore-part" // core.RestorePartRequest → core.RestorePart; to the node that shall restore
)

// Rule says which operators may call a verb, and which nodes answer it. A verb for the
// role admin is an act, or a part of one: an act is let through once, and in the audit.
// Every request but verbIdentify is signed for the cluster and the connection.
type Rule struct {
	Role               core.OperatorRole // the least role that may call it
	NeedsStore         bool              // true: only a node that serves a store answers
	MovesData          bool              // true: it moves data, and may take a minute
	WorksWithoutQuorum bool              // true: it restores a quorum or takes danger away, and is done without one: recorded by the node alone at first
	ReadsAll           bool              // true: it reads the whole control plane, and may take half an hour
	Idempotent         bool              // true: an act that may be sent twice, and undoes nothing that another operator does in between
	IsPartOfAct        bool              // true: a part of an act that is recorded already: not recorded again
}

// Acts is true for what is let through once, and in the audit.
func (r Rule) Acts() bool { return r.Role == core.OperatorAdmin && !r.IsPartOfAct }

// within is how long a verb may take; usual is that of most.
func (r Rule) within(usual time.Duration) time.Duration {
	switch {
	case r.ReadsAll:
		return max(usual, wholeTimeout)
	case r.MovesData:
		return max(usual, slowTimeout)
	case r.WorksWithoutQuorum:
		return max(usual, withoutQuorumTimeout)
	}
	return usual
}

// Rules returns the whole protocol: every verb with its rule.
func Rules() map[Verb]Rule {
	view, act := Rule{Role: core.OperatorViewer}, Rule{Role: core.OperatorAdmin}
	viewStore, actStore := Rule{Role: core.OperatorViewer, NeedsStore: true}, Rule{Role: core.OperatorAdmin, NeedsStore: true}
	return map[Verb]Rule{
		verbIdentify: view, verbStatus: view, verbEvents: view, verbHistory: view, verbFlags: view, verbRollout: view, verbMigration: view, verbAudit: view, verbSessionPage: view,
		verbDoctor:   {Role: core.OperatorViewer, ReadsAll: true},
		verbUserPage: viewStore, verbUserGet: viewStore, verbRoomPage: viewStore, verbRoomGet: viewStore, verbRoomStatements: viewStore,
		verbUserActivate: actStore, verbUserExtend: actStore,
		verbUserAdd:        {Role: core.OperatorAdmin, NeedsStore: true, Idempotent: true},                           // a second one finds the first
		verbRoomRekey:      {Role: core.OperatorAdmin, NeedsStore: true, Idempotent: true},                           // it only asks a member, for the key of one epoch
		verbUserReplace:    {Role: core.OperatorAdmin, NeedsStore: true, MovesData: true, Idempotent: true},          // a write or three for each room
		verbUserRevoke:     {Role: core.OperatorAdmin, NeedsStore: true, WorksWithoutQuorum: true, Idempotent: true}, // a node that serves SQLite can revoke by itself
		verbOperatorRemove: {Role: core.OperatorAdmin, WorksWithoutQuorum: true, Idempotent: true},                   // it shuts an operator out, and needs no store
		verbSessionEnd:     {Role: core.OperatorAdmin, Idempotent: true},                                             // a second one ends what has come since, or finds it gone
		verbBucketScale:    {Role: core.OperatorAdmin, MovesData: true, Idempotent: true},
		verbNodeAdd:        {Role: core.OperatorAdmin, Idempotent: true},
		verbNodeRemove:     {Role: core.OperatorAdmin, MovesData: true, Idempotent: true}, // its replicas are created again elsewhere
		verbNodeEvacuate:   {Role: core.OperatorAdmin, MovesData: true, Idempotent: true}, // its replicas are created again elsewhere
		verbNodeDrain:      {Role: core.OperatorAdmin, MovesData: true, Idempotent: true}, // its leaders and replicas go to other nodes
		verbNodeResume:     {Role: core.OperatorAdmin},
		verbNodeFence:      {Role: core.OperatorAdmin, WorksWithoutQuorum: true, Idempotent: true},                  // a lost node cannot come back beside those that are rescued
		verbNodeRescue:     {Role: core.OperatorAdmin, WorksWithoutQuorum: true, Idempotent: true, MovesData: true}, // it waits for elections
		verbStepDown:       {Role: core.OperatorAdmin, WorksWithoutQuorum: true, Idempotent: true},                  // another leader does no harm
		verbMigratePause:   {Role: core.OperatorAdmin, WorksWithoutQuorum: true},
		verbMigrateStart:   act, verbMigrateResume: act,
		verbMigrateAbort:   {Role: core.OperatorAdmin, MovesData: true}, // it takes every row out of KV
		verbMigrateCutover: act, verbMigrateFinish: act, verbMigrateLimit: act, verbMigrateRollback: act,
		verbSupport:    {Role: core.OperatorAdmin, WorksWithoutQuorum: true, Idempotent: true}, // it changes nothing; it is an act to be in the audit, and most needed without a quorum
		verbBackup:     {Role: core.OperatorAdmin, NeedsStore: true, ReadsAll: true},
		verbBackupNow:  {Role: core.OperatorAdmin, Idempotent: true},  // a second one finds the first
		verbBackupPart: {Role: core.OperatorAdmin, IsPartOfAct: true}, // also at a node that no longer serves a store: the file is whole

		verbRestore:     {Role: core.OperatorAdmin, ReadsAll: true},    // an interrupted one goes on where no node serves a store
		verbRestorePart: {Role: core.OperatorAdmin, IsPartOfAct: true}, // it changes nothing of the cluster
	}
}

// Target says who answers: any node, or a named one.
type Target string

// TargetAny is answered by one node; Client sends to the one it is connected to first.
const TargetAny Target = "any"

// TargetNode is answered by the named node alone.
func TargetNode(name string) Target { return Target("node." + name) }

// Subject is where a request of caller for verb at target is sent.
func Subject(caller string, t Target, v Verb) string {
	return auth.AdminPrefix + caller + "." + string(t) + "." + string(v)
}

// Status is a View and what it means.
type Status struct {
	cluster.View
	cluster.Judgment
	Operator core.Operator `json:"operator"` // who asked, as the node knows them
}

// EventsRequest asks for events after Since (of the answering node), at most Limit (0: 200), the newest.
type EventsRequest struct {
	Since uint64 `json:"since"`
	Limit int    `json:"limit"`
}

// Events is what one node's recorder holds, oldest first.
type Events struct {
	Node   string          `json:"node"`
	Events []cluster.Event `json:"events"`
}

// HistoryRequest asks for a page of the events of the cluster.
type HistoryRequest = events.Query

// History is a page of them.
type History = events.Page

// HistoryEntry is an incident, or a line that belongs to none.
type HistoryEntry = events.Entry

// AuditRequest asks for what operators did, newest first: records after Since
// and before Before (sequences, 0: no bound), at most Limit (0: 200).
type AuditRequest struct {
	Since  uint64 `json:"since,omitempty"`
	Before uint64 `json:"before,omitempty"`
	Limit  int    `json:"limit,omitempty"`

	Raw  bool   `json:"raw,omitempty"`  // asks for a page of records as they are stored, oldest first, in place of all that
	From uint64 `json:"from,omitempty"` // where that page begins; 0: at the beginning
}

// DoctorRequest says what is checked.
type DoctorRequest struct {
	ReplicasOnly bool `json:"replicas_only,omitempty"` // compares the replicas, and does not check how rows fit together
	OnlineOnly   bool `json:"online_only,omitempty"`   // leaves out the replicas of nodes that are silent
}

// AuditRecord is one action with who, what, when and how it ended.
type AuditRecord = audit.Record

// Audit is one page of the audit, newest first.
type Audit struct {
	Node    string        `json:"node"` // who answered; alone, the audit is this node's own file
	Records []AuditRecord `json:"records"`
	Next    uint64        `json:"next_page,omitempty"` // the next page's Before, 0 at the end

	Raw *audit.RawPage `json:"raw,omitempty"` // of a request for it
}

// Flag compares what is declared as the target with what each node is running.
type Flag struct {
	Name     string            `json:"name"`
	Declared string            `json:"declared"`
	Nodes    map[string]string `json:"nodes"`
}

// Flags is the whole list.
type Flags struct {
	Flags []Flag `json:"flags"`
}

// PageSize is how many entries a page has at the most.
const PageSize = request.PageSize

// userRequest names a user.
type userRequest struct {
	ID  string `json:"id"`
	Key bool   `json:"key,omitempty"` // of verbUserGet: asks for a userKeyReply
}

// extendRequest gives a user another end, earlier or later; 0 is none.
type extendRequest struct {
	ID      string      `json:"id"`
	Expires core.Millis `json:"expires"`
}

// operatorRequest names an operator by key.
type operatorRequest struct {
	ID string `json:"id"`
}

// OperatorRemoved is an operator whose key is refused from now on, and each node's answer.
type OperatorRemoved struct {
	core.RemovedOperator
	Nodes map[string]Ended `json:"nodes"`
}

// Unreached are the nodes that did not say that they refuse the key, in order.
func (r OperatorRemoved) Unreached() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.Nodes)) {
		if r.Nodes[name].Unknown {
			names = append(names, name)
		}
	}
	return names
}

// Ended says how many of a user's sessions a node ended, and when.
type Ended struct {
	Ended   int         `json:"ended"`
	At      core.Millis `json:"at,omitempty"`
	Unknown bool        `json:"unknown,omitempty"` // it did not say in time: the user may still be connected there
	Reason  string      `json:"reason,omitempty"`  // of Unknown, where there is more to say
}

// Revoked is a user who is denied from now on, and what became of their sessions.
type Revoked struct {
	core.User
	Nodes map[string]Ended `json:"nodes"`
	Rekey []core.RoomID    `json:"rekey"`          // encrypted rooms whose current key the user has: they need a new one
	Note  string           `json:"note,omitempty"` // what could not be found out
}

// Denied is a client that a node in soft mode admitted and would have refused
// under enforce.
type Denied struct {
	Key    string      `json:"key,omitempty"` // the nkey that was proven, "" without one
	Addr   string      `json:"addr"`          // without the port
	Reason string      `json:"reason"`
	Count  int         `json:"count"`
	First  core.Millis `json:"first"`
	Last   core.Millis `json:"last"`
}

// RolloutNode is what one node runs and whom it would deny.
type RolloutNode struct {
	Active    map[string]string `json:"active,omitempty"`     // what it runs, in the names of Declared
	Since     core.Millis       `json:"since,omitempty"`      // it has recorded from then on
	WouldDeny []Denied          `json:"would_deny,omitempty"` // the latest first, at most DeniedShown
	More      int               `json:"more,omitempty"`       // distinct ones that are not listed
	Overflow  int               `json:"overflow,omitempty"`   // admissions that were not recorded, the table being full
	Unknown   bool              `json:"unknown,omitempty"`    // it did not answer in time
}

// DeniedShown is how many entries of a node's table are sent: five nodes' must fit into one message.
const DeniedShown = 200

// Rollout says whether enforce can be turned on everywhere.
type Rollout struct {
	Nodes    map[string]RolloutNode `json:"nodes"`
	Declared map[string]string      `json:"declared"` // the targets
	Safe     bool                   `json:"safe"`
	Verdict  string                 `json:"verdict"` // "safe to enforce", or why not
}

// RoomRequest names a room, and the page of its members: those after After, at
// most Limit (0: PageSize).
type RoomRequest struct {
	ID    string `json:"id"`
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// RoomMember is a member with what the list of users knows of them. Their
// invitation's proof is left out: it says nothing to an operator.
type RoomMember struct {
	core.Member
	Name   *string         `json:"name,omitempty"`
	Status core.UserStatus `json:"status"`
	Boxed  bool            `json:"boxed"` // has a sealed key of the current epoch
}

// RoomDetail is a room with one page of its people, in the order of their ids.
type RoomDetail struct {
	Room    core.Room    `json:"room"`
	Count   int          `json:"members_count"`
	Members []RoomMember `json:"members"`
	Next    string       `json:"next_page,omitempty"` // the next page's After, "" at the end
	Keys    *RoomKeys    `json:"keys,omitempty"`      // with the first page alone

	Invited      []RoomInvitation `json:"invited,omitempty"`       // with the first page alone, at most peopleShown
	InvitedCount int              `json:"invited_count,omitempty"` // all pending invitations

	Chain *ChainSummary `json:"chain,omitempty"` // with the first page alone; nil for a plain room
}

// RoomInvitation is a pending invitation. An invited user is no member, and has no key.
type RoomInvitation struct {
	User core.UserID     `json:"user"`
	Name *string         `json:"name,omitempty"`
	Role core.MemberRole `json:"role"` // once it is accepted
	By   string          `json:"by,omitempty"`
	At   core.Millis     `json:"at"`
}

// ScaleRequest gives every bucket of the control plane a number of replicas.
type ScaleRequest struct {
	Replicas int `json:"replicas"`
}

// nodeRequest names a node to add or to remove.
type nodeRequest struct {
	Name string `json:"name"`
}

// NodeChanged is a node that was added or removed, the nodes that know of it, and the
// meta group afterward.
type NodeChanged struct {
	core.NodeChange
	Told    []string     `json:"told"`
	NotTold []string     `json:"not_told,omitempty"` // they learn it from the others as soon as they are connected
	Meta    cluster.Meta `json:"meta"`
}

// rescueRequest lowers the meta group's quorum to the number of nodes that are left.
type rescueRequest struct {
	Quorum int `json:"quorum"`
}

// Rescued is a cluster that goes on without the nodes that it lost.
type Rescued struct {
	Quorum    int          `json:"quorum"`    // what it was lowered to; the meta group's own counts again
	Survivors []string     `json:"survivors"` // the nodes that are left
	Removed   []string     `json:"removed"`   // by this call, in this order
	Meta      cluster.Meta `json:"meta"`

	Loss []cluster.Loss `json:"loss"` // of the buckets without a leader, before the quorum was lowered; empty if a call before this one did that
	Node string         `json:"node"` // who saw it
}

// drainRequest names a node to drain, and for how many ms.
type drainRequest struct {
	Name string `json:"name"`
	For  int64  `json:"for_ms"`
}

// NodeDrained is the maintenance of a node, what is still there, and the nodes that know of it.
type NodeDrained struct {
	core.Maintenance
	cluster.DrainState
	Told    []string `json:"told"`
	NotTold []string `json:"not_told,omitempty"` // they learn it from the others as soon as they are connected
}

// limitRequest sets how many rows a second a copy writes at the most; 0: no limit.
type limitRequest struct {
	Rate int `json:"rate"`
}

// stepDownRequest asks the leader of a group to hand over: "meta" or a bucket's name, to a node or to any node ("").
type stepDownRequest struct {
	Group string `json:"group"`
	To    string `json:"to,omitempty"`
}

// Done says in a sentence what was done.
type Done struct {
	Text string `json:"text"`
}

// Problem is the body of a reply that failed.
type Problem struct {
	Error *core.Error `json:"error"`
}
