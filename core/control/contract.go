package control

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"strings"

	"unibus/core"
)

// Method is one thing that can be asked.
type Method string

// The methods. Their request and reply types follow the arrow; "-" is no payload.
const (
	MethodRoomCreate  Method = "room-create"  // CreateRequest → core.Room
	MethodRoomGet     Method = "room-get"     // RoomRequest → RoomInfo
	MethodRooms       Method = "rooms"        // Page → Rooms
	MethodRoomRename  Method = "room-rename"  // RenameRequest → core.Room
	MethodRoomArchive Method = "room-archive" // RoomRequest → core.Room

	MethodIdentify Method = "identify" // binding.Request → binding.Proof: the node proves that it belongs to the cluster

	MethodMembers     Method = "members"     // MembersRequest → Members
	MethodInvite      Method = "invite"      // InviteRequest → core.Member
	MethodAccept      Method = "accept"      // RoomRequest → core.Member: of the caller's invitation
	MethodDecline     Method = "decline"     // RoomRequest → core.Member
	MethodInvitations Method = "invitations" // Page → Invitations: the caller's own

	MethodRemove Method = "remove" // MemberRequest → core.Member
	MethodLeave  Method = "leave"  // RoomRequest → core.Member
	MethodRole   Method = "role"   // RoleRequest → core.Member

	MethodKEMKey      Method = "kem-key"      // KEMKeyRequest → Profile
	MethodKey         Method = "key"          // KeyRequest → Key
	MethodBox         Method = "box"          // BoxRequest → core.Room
	MethodRekeyPart   Method = "rekey-part"   // RekeyPart → Staged
	MethodRekeyCommit Method = "rekey-commit" // RekeyCommit → core.Room
	MethodEpochs      Method = "epochs"       // EpochsRequest → Epochs

	MethodUserGet      Method = "user-get"      // UserRequest → Profile
	MethodUserAdd      Method = "user-add"      // AddUserRequest → core.User
	MethodUserRevoke   Method = "user-revoke"   // UserRequest → Revoked
	MethodUserActivate Method = "user-activate" // UserRequest → core.User
)

// Version is the "v" of every request and reply.
const Version = 1

// Limits of what is sent, in bytes where nothing else is said.
const (
	MaxRooms    = 1000      // of one user: a session may have no more
	MaxKEMKey   = 4 << 10   // a published key with its signature
	MaxProof    = 4 << 10   // of an invitation
	MaxBox      = 16 << 10  // one sealed key
	MaxRecord   = 16 << 10  // one epoch record
	MaxPart     = 512 << 10 // all boxes of one part of a rekey
	MaxPartRows = 1000      // boxes of one part
	PageSize    = 1000      // entries of one page
	maxPage     = 512 << 10 // entries of one page, encoded
)

// Prefix begins every subject; the caller's nkey follows, then the method.
const Prefix = "unibus.control.v1."

// Subject is where a request of caller for a method is sent.
func Subject(caller string, m Method) string { return Prefix + caller + "." + string(m) }

// InboxPrefix is where the replies to a caller go.
func InboxPrefix(caller string) string { return "_INBOX." + caller }

// CallerOf takes the caller's nkey out of a request's subject; "" where it has none.
func CallerOf(subject string) string {
	rest, ok := strings.CutPrefix(subject, Prefix)
	caller, _, dot := strings.Cut(rest, ".")
	if !ok || !dot {
		return ""
	}
	return caller
}

// EventSubject is where the service announces what has changed in a room. No
// user may publish there: a user's own subjects end with the user's key.
func EventSubject(room core.RoomID) string { return "unibus.room." + string(room) + "._control" }

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventRoom    EventKind = "room"    // its name, state or owner changed
	EventMember  EventKind = "member"  // somebody joined, was removed, has another role, or is active again as a user
	EventRekey   EventKind = "rekey"   // the room is at another epoch
	EventBox     EventKind = "box"     // somebody was given the present key
	EventRevoked EventKind = "revoked" // a member was revoked as a user
	EventAsked   EventKind = "asked"   // an operator asks User to rekey, because somebody who may not read any more still knows the key
)

// Event is a hint that something is to be read again. It may be lost, and in the
// modes off and soft it may be forged: what it says counts only once it was asked for.
type Event struct {
	V      int         `json:"v"`
	Kind   EventKind   `json:"kind"`
	Room   core.RoomID `json:"room"`
	Epoch  core.Epoch  `json:"epoch"`
	User   core.UserID `json:"user,omitempty"`   // whom it is about
	Joined bool        `json:"joined,omitempty"` // EventMember: User accepted an invitation, and has no key of the room yet
	By     core.UserID `json:"by"`               // "": an operator
	At     core.Millis `json:"at"`
}

// request and reply are the envelopes.
type request struct {
	V   int             `json:"v"`
	Req json.RawMessage `json:"req,omitempty"`
}

type reply struct {
	V     int             `json:"v"`
	Reply json.RawMessage `json:"reply,omitempty"`
	Error *core.Error     `json:"error,omitempty"`
}

// Invitation is one that the caller has not answered yet.
type Invitation struct {
	Room      core.RoomID     `json:"room"`
	Name      *string         `json:"name,omitempty"`
	Encrypted bool            `json:"encrypted"`
	Role      core.MemberRole `json:"role"`
	By        core.UserID     `json:"by"`
	At        core.Millis     `json:"at"`
}

// Invitations is one page, by room.
type Invitations struct {
	Invitations []Invitation `json:"invitations"`
	Next        string       `json:"next_page,omitempty"`
}

// Page asks for the entries after a key, at most Limit (0: PageSize). A page
// may be shorter: only an empty Next says that it is the last.
type Page struct {
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// CreateRequest makes a room that the caller owns. The id is the caller's to choose: NewRoomID.
type CreateRequest struct {
	ID        string  `json:"id"`
	Name      *string `json:"name,omitempty"`
	Encrypted bool    `json:"encrypted,omitempty"`
}

// NewRoomID makes an id at random.
func NewRoomID() core.RoomID {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return core.RoomID("r" + hex.EncodeToString(b[:]))
}

// RoomRequest names a room.
type RoomRequest struct {
	Room string `json:"room"`
}

// RenameRequest gives a room another name.
type RenameRequest struct {
	Room string `json:"room"`
	Name string `json:"name"`
}

// RoomInfo is a room and what the caller is in it.
type RoomInfo struct {
	Room      core.Room       `json:"room"`
	Role      core.MemberRole `json:"role,omitempty"` // "": a user-admin who is no member
	Members   int             `json:"members"`        // active ones
	Unkeyed   int             `json:"unkeyed"`        // active members without a box of the present epoch
	MustRekey int             `json:"must_rekey"`     // people with such a box who are no longer active members or users
}

// Rooms is one page of the caller's rooms, in the order of their ids.
type Rooms struct {
	Rooms []core.Room `json:"rooms"`
	Next  string      `json:"next_page,omitempty"`
}

// MembersRequest asks for a page of a room's active members.
type MembersRequest struct {
	Page
	Room string `json:"room"`
	Keys bool   `json:"keys,omitempty"` // with their published keys
}

// Member is a member with what the list of users says.
type Member struct {
	core.Member
	Name   *string         `json:"name,omitempty"`
	Status core.UserStatus `json:"status"`
	KEMKey []byte          `json:"kem_key,omitzero"` // only where it was asked for
}

// Members is one page, in the order of the users' ids.
type Members struct {
	Members []Member `json:"members"`
	Next    string   `json:"next_page,omitempty"`
}

// InviteRequest puts a user into a room. Proof is opaque here.
type InviteRequest struct {
	Room  string          `json:"room"`
	User  string          `json:"user"`
	Role  core.MemberRole `json:"role,omitempty"` // "": member
	Proof []byte          `json:"proof,omitzero"`
}

// MemberRequest names somebody in a room.
type MemberRequest struct {
	Room string `json:"room"`
	User string `json:"user"`
}

// RoleRequest changes a member's role. The role owner hands the room over: the owner before is an admin then.
type RoleRequest struct {
	Room string          `json:"room"`
	User string          `json:"user"`
	Role core.MemberRole `json:"role"`
}

// KEMKeyRequest publishes the caller's key, which is opaque here.
type KEMKeyRequest struct {
	Key []byte `json:"key"`
}

// Profile is what every user may know of another.
type Profile struct {
	ID     core.UserID     `json:"id"`
	Name   *string         `json:"name,omitempty"`
	Role   core.UserRole   `json:"role"`
	Status core.UserStatus `json:"status"`
	KEMKey []byte          `json:"kem_key,omitzero"`
}

// KeyRequest asks for the caller's own box of an epoch.
type KeyRequest struct {
	Room  string     `json:"room"`
	Epoch core.Epoch `json:"epoch"`
}

// Key is a box and the record of its epoch; nil for keys from a legacy database.
type Key struct {
	Key    core.SealedKey    `json:"key"`
	Record *core.EpochRecord `json:"record,omitempty"`
}

// Box is one sealed key.
type Box struct {
	User string `json:"user"`
	Box  []byte `json:"box"`
}

// BoxRequest gives an active member a box of the present epoch, which must be the one that Epoch and Rec name.
type BoxRequest struct {
	Box
	Room  string     `json:"room"`
	Epoch core.Epoch `json:"epoch"`
	Rec   string     `json:"rec"`
}

// RekeyPart brings boxes of epoch From+1 under a rec that the caller made at
// random. Nothing counts before the commit.
type RekeyPart struct {
	Room  string     `json:"room"`
	From  core.Epoch `json:"from"`
	Rec   string     `json:"rec"`
	Boxes []Box      `json:"boxes"`
}

// Staged says how many boxes a part had.
type Staged struct {
	Boxes int `json:"boxes"`
}

// RekeyCommit moves the room to epoch From+1 with the boxes that were brought.
// Boxes is how many they must be.
type RekeyCommit struct {
	Room   string     `json:"room"`
	From   core.Epoch `json:"from"`
	Rec    string     `json:"rec"`
	Boxes  int        `json:"boxes"`
	Record []byte     `json:"record"`
}

// EpochsRequest asks for records from Upto downwards (nil: from the present epoch), at most Limit.
type EpochsRequest struct {
	Room  string      `json:"room"`
	Upto  *core.Epoch `json:"upto,omitempty"`
	Limit int         `json:"limit,omitempty"`
}

// Epochs is one page of records, the newest first. Next is the next page's Upto, nil at the end.
type Epochs struct {
	Records []core.EpochRecord `json:"records"`
	Next    *core.Epoch        `json:"next,omitempty"`
}

// UserRequest names a user.
type UserRequest struct {
	User string `json:"user"`
}

// AddUserRequest adds a user.
type AddUserRequest struct {
	User string        `json:"user"`
	Name *string       `json:"name,omitempty"`
	Role core.UserRole `json:"role,omitempty"` // "": member
}

// Ended says what became of a revoked user's sessions on one node.
type Ended struct {
	Ended   int  `json:"ended"`
	Unknown bool `json:"unknown,omitempty"` // the node did not say in time: a session may live on there
}

// Revoked is a user who is denied from now on.
type Revoked struct {
	core.User
	Nodes map[string]Ended `json:"nodes"`
}
