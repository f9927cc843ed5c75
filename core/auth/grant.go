package auth

import (
	"slices"
	"strings"

	"unibus/core"
)

// The accounts of the embedded server. nats-server answers a request in the
// account SYS to whatever reply subject it names, with the server's own rights:
// one message there can delete every stream or break the meta group. So only
// identities of this process are in SYS. An operator of the roles system and
// auditor gets an account of its own, into which single services are imported
// and where every answer stays.
const (
	AccountSystem  = "SYS"      // the servers' own; identities of this process alone
	AccountControl = "CONTROL"  // buckets, the admin service, peers; JetStream here alone
	AccountBus     = "BUS"      // users: rooms and the control service
	monitorPrefix  = "MONITOR_" // <operator>: the servers' state
	auditPrefix    = "AUDIT_"   // <operator>: a read-only view of CONTROL's streams
)

// The subjects that permissions are built of. The caller's key follows the first
// two, the server's allow-list ties it to the connection (DESIGN D7).
const (
	AdminPrefix   = "unibus.admin.v1."       // <operator>.<target>.<verb>, as core/admin has it
	ControlPrefix = "unibus.control.v1."     // <user>.<method>
	PeerSubjects  = "unibus.peer.v1.>"       // between nodes, in CONTROL
	EventSubjects = "unibus.events.>"        // what services announce
	RoomSubjects  = "unibus.room.>"          // what RoomSubject makes
	AuditPrefix   = "CTL.API."               // CONTROL's JetStream API as auditors see it
	RoomEvents    = "unibus.room.*._control" // what the control service says in rooms; no user's subject ends so
	inboxes       = "_INBOX.>"
)

// Who says what sort of identity a grant belongs to.
type Who string

// The sorts of identity.
const (
	WhoInternal  Who = "internal"  // one of this process's own
	WhoOperator  Who = "operator"  // from the configuration
	WhoUser      Who = "user"      // authorized by the directory
	WhoAnonymous Who = "anonymous" // off and soft only: nobody vouches for it
)

// Import makes a subject of another account usable in a grant's own account.
type Import struct {
	Account string // where it is exported
	Subject string // its subject there
	As      string // its subject in the own account
	Instead string // requests to this subject are mapped to As; "": to As itself
	Stream  bool   // messages come from there; otherwise requests go there
}

// Grant is what a connection may do. Publish and Subscribe are allow-lists: what
// is not listed is denied, an empty list allows nothing.
type Grant struct {
	Account   string
	Imports   []Import // with any, the account is made for this identity alone
	Publish   []string
	Subscribe []string
	Who       Who
	Identity  string            // the public nkey that was proven, "" where there is none
	Name      string            // an operator's or an internal identity's name
	Role      core.OperatorRole // operators only
	Rooms     []core.RoomID     // users only: what the permissions were built for, in order
}

// In says whether the permissions include a room.
func (g Grant) In(room core.RoomID) bool {
	_, found := slices.BinarySearch(g.Rooms, room)
	return found
}

// MaxRooms is how many rooms one session may have: each costs the server a few
// microseconds at the admission and about 2 KiB for as long as it lasts.
const MaxRooms = 1000

// RoomSubject is where a user speaks in a room; ">" for the user hears everybody.
func RoomSubject(room core.RoomID, user string) string {
	return "unibus.room." + string(room) + "." + user
}

// InboxPrefix is where the answers to a caller go; its connection may subscribe to
// no other inbox.
func InboxPrefix(caller string) string { return "_INBOX." + caller }

// GrantSystem is for the node's own observer: everything in SYS.
func GrantSystem() Grant { return internal("system", AccountSystem, []string{">"}, []string{">"}) }

// GrantStore is for the KV store and nobody else: everything in CONTROL.
func GrantStore() Grant { return internal("store", AccountControl, []string{">"}, []string{">"}) }

// GrantAdminService is for the operators' service. Replies go where a request
// says and with the service's rights, so those are inboxes and events alone.
func GrantAdminService() Grant {
	return internal("admin-service", AccountControl,
		[]string{inboxes, EventSubjects}, []string{AdminPrefix + ">", "$SRV.>"})
}

// GrantControlService is for the service that users call. Replies go where a
// request says and with the service's rights: those are inboxes and rooms'
// events alone.
func GrantControlService() Grant {
	return internal("control-service", AccountBus, []string{inboxes, RoomEvents}, []string{ControlPrefix + ">", "$SRV.>"})
}

// GrantPeer is for what nodes tell each other.
func GrantPeer() Grant {
	subjects := []string{PeerSubjects, inboxes, EventSubjects}
	return internal("peer", AccountControl, subjects, slices.Clone(subjects))
}

func internal(name, account string, publish, subscribe []string) Grant {
	return Grant{Account: account, Publish: publish, Subscribe: subscribe, Who: WhoInternal, Name: name}
}

// AuditedAPI returns the subjects of CONTROL's JetStream API that an auditor may
// call. All of them read, and none takes a subject to write to.
func AuditedAPI() []string {
	return []string{"$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"}
}

// MonitoredServices returns the subjects on which the servers tell their state
// to operators of the role system. They are listed one by one: with a wildcard
// whoever asks could take CPU profiles and memory dumps (PROFILEZ, EXPVARZ).
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

// MonitoredEvents returns the subjects on which the servers announce what happens.
func MonitoredEvents() []string { return []string{"$SYS.SERVER.>", "$SYS.ACCOUNT.>"} }

// operatorGrant is what an operator's role allows; verbs narrow a viewer down.
func operatorGrant(op core.Operator, viewerVerbs []string) (Grant, error) {
	g := Grant{Who: WhoOperator, Identity: op.Key, Name: op.Name, Role: op.Role}
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

// monitor fills in the servers' state, for an operator of the role system.
func (g *Grant) monitor() {
	g.Account = monitorPrefix + g.Identity
	for _, subject := range MonitoredServices() {
		i := Import{Account: AccountSystem, Subject: subject, As: subject}
		if subject == ownConnections {
			i.As, i.Instead = allConnections, subject
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

// audit fills in the view of CONTROL's streams, for an operator of the role auditor.
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

// userGrant is what an authorized user may do: speak under its own key and
// listen, in its own rooms, and ask the control service (DESIGN D8).
func userGrant(id core.UserID, rooms []core.RoomID) (Grant, error) {
	if len(rooms) > MaxRooms {
		return Grant{}, core.Errorf(core.KindRefused, "the user %s is a member of %d rooms, and one session may have %d", id.Short(), len(rooms), MaxRooms).
			WithNext("take it out of rooms, or let a second user share them")
	}
	rooms = slices.Clone(rooms)
	slices.Sort(rooms)
	key := string(id)
	g := Grant{
		Account: AccountBus, Who: WhoUser, Identity: key, Rooms: slices.Compact(rooms),
		Publish: []string{ControlPrefix + key + ".>"}, Subscribe: []string{InboxPrefix(key) + ".>"},
	}
	for _, room := range g.Rooms {
		if _, err := core.ParseRoomID(string(room)); err != nil {
			// A dot or a wildcard in it would open other rooms.
			return Grant{}, core.Errorf(core.KindFailed, "the user %s is in a room whose id cannot be part of a subject: %w", id.Short(), err)
		}
		g.Publish = append(g.Publish, RoomSubject(room, key))
		g.Subscribe = append(g.Subscribe, RoomSubject(room, ">"))
	}
	return g, nil
}

// anonymousGrant is what a client may do where nobody vouches for it. Its inbox
// cannot be told from others', so it is all of them.
func anonymousGrant(key string) Grant {
	return Grant{
		Account:   AccountBus,
		Publish:   []string{RoomSubjects, ControlPrefix + ">"},
		Subscribe: []string{RoomSubjects, inboxes},
		Who:       WhoAnonymous,
		Identity:  key,
	}
}
