package auth

import (
	"slices"
	"strings"

	"unibus/core"
)

// The accounts of the embedded server. nats-server answers a request in the account SYS
// to any reply subject that it names, with the server's own rights. One message there
// can delete every stream or break the meta group. So only identities of this process
// are in SYS. An operator of the roles system and auditor gets an account of its own,
// into which single services are imported and where every answer stays.
const (
	AccountSystem  = "SYS"      // the servers' own; identities of this process alone
	AccountControl = "CONTROL"  // buckets, the admin service, peers; JetStream here alone
	AccountBus     = "BUS"      // users: rooms and the control service
	monitorPrefix  = "MONITOR_" // <operator>: the servers' state
	auditPrefix    = "AUDIT_"   // <operator>: a read-only view of CONTROL's streams
)

// The subjects that permissions are built of. The caller's key follows the first
// two; the server's allow-list ties it to the connection.
const (
	AdminPrefix   = "unibus.admin.v1."       // <operator>.<target>.<verb>, as core/admin has it
	ControlPrefix = "unibus.control.v1."     // <user>.<method>
	peerSubjects  = "unibus.peer.v1.>"       // between nodes, in CONTROL
	eventSubjects = "unibus.events.>"        // events of services
	roomSubjects  = "unibus.room.>"          // the subjects of RoomSubject
	AuditPrefix   = "CTL.API."               // CONTROL's JetStream API as auditors see it
	roomEvents    = "unibus.room.*._control" // events of the control service in rooms; no user's subject ends so
	inboxes       = "_INBOX.>"
)

// IdentityKind is the sort of identity that a grant belongs to.
type IdentityKind string

// The sorts of identity.
const (
	KindInternal  IdentityKind = "internal"  // one of this process's own
	KindOperator  IdentityKind = "operator"  // from the configuration
	KindUser      IdentityKind = "user"      // authorized by the directory
	KindAnonymous IdentityKind = "anonymous" // off and soft only: its identity is not verified
)

// Import makes a subject of another account usable in a grant's own account.
type Import struct {
	Account    string // where it is exported
	Subject    string // its subject there
	As         string // its subject in the own account
	MappedFrom string // requests to this subject are mapped to As; "": to As itself
	Stream     bool   // messages come from there; otherwise requests go there
}

// Grant is what a connection may do. Publish and Subscribe are allow-lists: a
// subject that is not listed is denied, an empty list allows nothing.
type Grant struct {
	Account   string
	Imports   []Import // with any, the account is made for this identity alone
	Publish   []string
	Subscribe []string
	Kind      IdentityKind
	Identity  string            // the public nkey that was proven, "" where there is none
	Name      string            // an operator's or an internal identity's name
	Role      core.OperatorRole // operators only
	Rooms     []core.RoomID     // users only: the rooms of the permissions, in order
}

// In says whether the permissions include a room.
func (g Grant) In(room core.RoomID) bool {
	_, found := slices.BinarySearch(g.Rooms, room)
	return found
}

// MaxRooms is how many rooms one session may have: each costs the server a few
// microseconds at the admission and about 2 KiB for as long as it lasts.
const MaxRooms = 1000

// RoomSubject is the subject to which a user publishes in a room; with ">" for the
// user, that of all its messages.
func RoomSubject(room core.RoomID, user string) string {
	return "unibus.room." + string(room) + "." + user
}

// HeartbeatSubject is the subject to which a user publishes heartbeats in a room; with "*"
// for the user, that of all its heartbeats. It is not that of messages: programs that know
// no heartbeats would take them for messages that cannot be read.
func HeartbeatSubject(room core.RoomID, user string) string { return RoomSubject(room, user) + ".beat" }

// InboxPrefix is where the answers to a caller go; its connection may subscribe to
// no other inbox.
func InboxPrefix(caller string) string { return "_INBOX." + caller }

// GrantSystem is for the node's own observer: everything in SYS.
func GrantSystem() Grant { return internal("system", AccountSystem, []string{">"}, []string{">"}) }

// GrantStore is for the KV store alone: everything in CONTROL.
func GrantStore() Grant { return internal("store", AccountControl, []string{">"}, []string{">"}) }

// GrantAdminService is for the operators' service. A reply goes to the subject in
// the request and with the service's rights, so it may publish to inboxes and
// events alone.
func GrantAdminService() Grant {
	return internal("admin-service", AccountControl,
		[]string{inboxes, eventSubjects}, []string{AdminPrefix + ">", "$SRV.>"})
}

// GrantControlService is for the service that users call. A reply goes to the
// subject in the request and with the service's rights, so it may publish to
// inboxes and rooms' events alone.
func GrantControlService() Grant {
	return internal("control-service", AccountBus, []string{inboxes, roomEvents}, []string{ControlPrefix + ">", "$SRV.>"})
}

// GrantPeer is for messages between nodes.
func GrantPeer() Grant {
	subjects := []string{peerSubjects, inboxes, eventSubjects}
	return internal("peer", AccountControl, subjects, slices.Clone(subjects))
}

func internal(name, account string, publish, subscribe []string) Grant {
	return Grant{Account: account, Publish: publish, Subscribe: subscribe, Kind: KindInternal, Name: name}
}

// AuditedAPI returns the subjects of CONTROL's JetStream API that an auditor may
// call. All of them read, and none takes a subject to write to.
func AuditedAPI() []string {
	return []string{"$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"}
}

// MonitoredServices returns the subjects on which the servers answer operators of
// the role system. They are listed one by one: with a wildcard an operator could
// take CPU profiles and memory dumps (PROFILEZ, EXPVARZ).
func MonitoredServices() []string {
	subjects := []string{"$SYS.REQ.SERVER.PING"}
	for _, name := range []string{"IDZ", "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ", "RAFTZ"} {
		subjects = append(subjects, "$SYS.REQ.SERVER.PING."+name)
	}
	for _, name := range []string{"CONNZ", "SUBSZ", "LEAFZ", "JSZ", "INFO", "STATZ"} {
		subjects = append(subjects, "$SYS.REQ.ACCOUNT.*."+name)
	}
	return subjects
}

// MonitoredEvents returns the subjects on which the servers announce events.
func MonitoredEvents() []string { return []string{"$SYS.SERVER.>", "$SYS.ACCOUNT.>"} }

// operatorGrant is what an operator's role allows; viewerVerbs limits a viewer.
func operatorGrant(op core.Operator, viewerVerbs []string) (Grant, error) {
	g := Grant{Kind: KindOperator, Identity: op.Key, Name: op.Name, Role: op.Role}
	switch op.Role {
	case core.OperatorViewer, core.OperatorAdmin:
		g.Account = AccountControl
		g.Publish = adminSubjects(op, viewerVerbs)
		g.Subscribe = []string{InboxPrefix(op.Key) + ".>"}
	case core.OperatorSystem:
		g.monitor()
	case core.OperatorAuditor:
		g.audit()
	default:
		return Grant{}, core.Errorf(core.KindRefused, "the operator %s has the unknown role %q", op.Key, op.Role).
			WithNext("correct the operator's role in the node's configuration: viewer, admin, system or auditor")
	}
	return g, nil
}

// nats-server itself imports ownConnections into every account, cut down to that
// account's connections. An operator of the role system sees all: requests are
// mapped to another subject, which is free.
const (
	ownConnections = "$SYS.REQ.SERVER.PING.CONNZ"
	allConnections = "unibus.monitor.connz"
)

// monitor adds the servers' state, for an operator of the role system.
func (g *Grant) monitor() {
	g.Account = monitorPrefix + g.Identity
	for _, subject := range MonitoredServices() {
		i := Import{Account: AccountSystem, Subject: subject, As: subject}
		if subject == ownConnections {
			i.As, i.MappedFrom = allConnections, subject
		}
		g.Imports = append(g.Imports, i)
		g.Publish = append(g.Publish, i.As) // the server checks a request after it has mapped it
	}
	g.Publish = append(g.Publish, "$SYS.REQ.USER.INFO") // each account has its own, which tells about the connection that asks
	g.Subscribe = []string{inboxes}
	for _, subject := range MonitoredEvents() {
		g.Imports = append(g.Imports, Import{Account: AccountSystem, Subject: subject, As: subject, Stream: true})
		g.Subscribe = append(g.Subscribe, subject)
	}
}

// audit adds the view of CONTROL's streams, for an operator of the role auditor.
func (g *Grant) audit() {
	g.Account = auditPrefix + g.Identity
	for _, subject := range AuditedAPI() {
		as := AuditPrefix + strings.TrimPrefix(subject, "$JS.API.")
		g.Imports = append(g.Imports, Import{Account: AccountControl, Subject: subject, As: as})
		g.Publish = append(g.Publish, as)
	}
	g.Subscribe = []string{inboxes}
}

func adminSubjects(op core.Operator, viewerVerbs []string) []string {
	own := AdminPrefix + op.Key + "."
	if op.Role == core.OperatorAdmin || len(viewerVerbs) == 0 {
		return []string{own + ">"} // the handler checks the role again
	}
	var subjects []string
	for _, verb := range viewerVerbs {
		subjects = append(subjects, own+"any."+verb, own+"all."+verb, own+"node.*."+verb)
	}
	return subjects
}

// userGrant is what an authorized user may do: publish under its own key and
// listen, in its own rooms, and call the control service.
func userGrant(id core.UserID, rooms []core.RoomID) (Grant, error) {
	if len(rooms) > MaxRooms {
		return Grant{}, core.Errorf(core.KindRefused, "the user %s is a member of %d rooms, and one session may have %d", id.Short(), len(rooms), MaxRooms).
			WithNext("remove it from rooms, or share them with a second user")
	}
	rooms = slices.Clone(rooms)
	slices.Sort(rooms)
	key := string(id)
	g := Grant{
		Account: AccountBus, Kind: KindUser, Identity: key, Rooms: slices.Compact(rooms),
		Publish: []string{ControlPrefix + key + ".>"}, Subscribe: []string{InboxPrefix(key) + ".>"},
	}
	for _, room := range g.Rooms {
		if _, err := core.ParseRoomID(string(room)); err != nil {
			// A dot or a wildcard in it would open other rooms.
			return Grant{}, core.Errorf(core.KindFailed, "the user %s is in a room whose id cannot be part of a subject: %w", id.Short(), err)
		}
		g.Publish = append(g.Publish, RoomSubject(room, key), HeartbeatSubject(room, key))
		g.Subscribe = append(g.Subscribe, RoomSubject(room, ">"))
	}
	return g, nil
}

// anonymousGrant is what a client without a verified identity may do. Its inbox
// cannot be told from others', so it may use all of them.
func anonymousGrant(key string) Grant {
	return Grant{
		Account:   AccountBus,
		Publish:   []string{roomSubjects, ControlPrefix + ">"},
		Subscribe: []string{roomSubjects, inboxes},
		Kind:      KindAnonymous,
		Identity:  key,
	}
}

// AuditStream keeps the audit of operators' actions, and AuditSubjects begins its
// subjects: unibus.audit.<node>.<id>, as core/audit has them.
const (
	AuditStream   = "UNIBUS_audit"
	AuditSubjects = "unibus.audit."
)

// GrantAudit is for the audit of a node: it may append under the node's own name, hear what
// others append, and create, update and read the stream. It may neither delete nor purge.
func GrantAudit(node string) Grant {
	publish := []string{AuditSubjects + node + ".>"}
	for _, api := range []string{"STREAM.INFO.", "STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.MSG.GET."} {
		publish = append(publish, "$JS.API."+api+AuditStream)
	}
	return internal("audit", AccountControl, publish, []string{inboxes, AuditSubjects + ">"})
}

// EventStream keeps what happened in the cluster, and EventRecords begins its subjects:
// unibus.history.<node>, as core/events has them.
const (
	EventStream  = "UNIBUS_events"
	EventRecords = "unibus.history."
)

// GrantEvents is for the history of events of a node: it may append under the node's own name,
// and create, update and read the stream. It may neither delete nor purge.
func GrantEvents(node string) Grant {
	publish := []string{EventRecords + node}
	for _, api := range []string{"STREAM.INFO.", "STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.MSG.GET."} {
		publish = append(publish, "$JS.API."+api+EventStream)
	}
	return internal("events", AccountControl, publish, []string{inboxes})
}
