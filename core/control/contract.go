package control

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/request"
	"unibus/core/seal"
)

// Method is one thing that can be asked.
type Method string

// The methods. Their request and reply types follow the arrow; "-" is no payload.
const (
	methodRoomCreate  Method = "room-create"  // CreateRequest → core.Room
	methodRoomGet     Method = "room-get"     // roomRequest → RoomInfo
	methodRooms       Method = "rooms"        // request.Page → roomsPage
	methodRoomRename  Method = "room-rename"  // renameRequest → core.Room
	methodRoomArchive Method = "room-archive" // roomRequest → core.Room

	methodIdentify Method = "identify" // binding.Request → binding.Proof: the node proves that it belongs to the cluster

	methodMembers     Method = "members"     // membersRequest → membersPage
	methodInvite      Method = "invite"      // inviteRequest → core.Member
	methodAccept      Method = "accept"      // roomRequest → core.Member: of the caller's invitation
	methodDecline     Method = "decline"     // roomRequest → core.Member
	methodInvitations Method = "invitations" // request.Page → invitationsPage: the caller's own

	methodStatements Method = "statements"        // StatementsRequest → Statements: the members' signed statements about members
	methodAppend     Method = "append-statements" // appendRequest → ChainHead: what the caller has signed
	methodFoundAnew  Method = "found-anew"        // FoundAnewRequest → ChainHead: of a room whose members signed nothing so far

	methodRemove Method = "remove" // memberRequest → core.Member
	methodLeave  Method = "leave"  // roomRequest → core.Member
	methodRole   Method = "role"   // roleRequest → core.Member

	methodKEMKey      Method = "kem-key"      // kemKeyRequest → Profile
	methodKey         Method = "key"          // keyRequest → Key
	methodBox         Method = "box"          // boxRequest → core.Room
	methodRekeyPart   Method = "rekey-part"   // rekeyPart → staged
	methodRekeyCommit Method = "rekey-commit" // rekeyCommit → core.Room
	methodEpochs      Method = "epochs"       // EpochsRequest → Epochs

	methodUserGet      Method = "user-get"      // userRequest → Profile
	methodUserAdd      Method = "user-add"      // AddUserRequest → core.User
	methodUserRevoke   Method = "user-revoke"   // userRequest → Revoked
	methodUserActivate Method = "user-activate" // userRequest → core.User
)

// version is the "v" of every request and reply.
const version = 1

// Limits of what is sent, in bytes where nothing else is said.
const (
	maxKEMKey   = 4 << 10   // a published key with its signature
	maxProof    = 4 << 10   // of an invitation
	maxBox      = 16 << 10  // one sealed key
	maxRecord   = 16 << 10  // one epoch record
	maxPart     = 512 << 10 // all boxes of one part of a rekey
	maxPartRows = 1000      // boxes of one part

	maxSnapshot = 640 << 10 // the members that a room is founded anew with: about 11,000
)

// Subject is where a request of caller for a method is sent.
func Subject(caller string, m Method) string { return auth.ControlPrefix + caller + "." + string(m) }

// EventSubject is where the service announces what has changed in a room. No
// user may publish there: a user's own subjects end with the user's key.
func EventSubject(room core.RoomID) string { return "unibus.room." + string(room) + "._control" }

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventRoom       EventKind = "room"       // its name, state or owner changed
	EventMember     EventKind = "member"     // a user joined, was removed, has another role, or is active again as a user
	EventRekey      EventKind = "rekey"      // the room is at another epoch
	EventBox        EventKind = "box"        // a member was given the present key
	EventRevoked    EventKind = "revoked"    // a member was revoked as a user
	EventStatements EventKind = "statements" // a member has signed something about an invitation: there is a statement to follow
	EventAsked      EventKind = "asked"      // an operator asks User to rekey, because a user who may not read any more still knows the key
)

// Event is a hint that something is to be read again. It may be lost, and in the modes
// off and soft it may be forged: a client asks the service before it acts on an event.
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

// question and reply are the envelopes.
type question struct {
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

	// Statement is the invitation as its inviter signed it, and Chain the head of the
	// room's chain, over which the answer is signed. Empty for a room without a chain.
	Statement []byte     `json:"statement,omitzero"`
	Chain     *ChainHead `json:"chain,omitempty"`
}

// ChainHead is the newest statement about a room's members, and the epoch that it names.
type ChainHead struct {
	seal.MembershipHead
	Epoch  core.Epoch `json:"epoch"`
	Record seal.Hash  `json:"record"`
}

// StatementsRequest asks for the statements about a room's members, from a number on. With
// Upto it asks for those from the newest checkpoint on that is not after that number and
// not after the members of the present epoch's record.
type StatementsRequest struct {
	Room string `json:"room"`
	From uint64 `json:"from"`
	Upto uint64 `json:"upto,omitempty"`
}

// Statements is a page of them, and the newest one that there is. State is the snapshot
// of a founding that has one, or the members of the checkpoint with which they begin.
type Statements struct {
	First      uint64    `json:"first"` // the number of the first one
	Statements [][]byte  `json:"statements"`
	State      []byte    `json:"state,omitzero"`
	Head       ChainHead `json:"head"`
}

// FoundAnewRequest is the first statement about the members of a room that was created
// before members signed, by its owner, and the members that the owner has confirmed.
type FoundAnewRequest struct {
	Room     string `json:"room"`
	Founding []byte `json:"founding"`
	Snapshot []byte `json:"snapshot"`
}

// appendRequest appends statements that the caller has signed, one after the other.
type appendRequest struct {
	Room       string   `json:"room"`
	Statements [][]byte `json:"statements"`
}

// invitationsPage is one page, by room.
type invitationsPage struct {
	Invitations []Invitation `json:"invitations"`
	Next        string       `json:"next_page,omitempty"`
}

// CreateRequest makes a room that the caller owns. The id is the caller's to choose: NewRoomID.
type CreateRequest struct {
	ID        string  `json:"id"`
	Name      *string `json:"name,omitempty"`
	Encrypted bool    `json:"encrypted,omitempty"`
	Founding  []byte  `json:"founding,omitzero"` // the first statement about the room's members; none: they sign nothing
}

// NewRoomID makes an id at random.
func NewRoomID() core.RoomID {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return core.RoomID("r" + hex.EncodeToString(b[:]))
}

// roomRequest names a room.
type roomRequest struct {
	Room string `json:"room"`
}

// renameRequest gives a room another name.
type renameRequest struct {
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

	Chain *ChainHead `json:"chain,omitempty"` // nil for a room whose members sign nothing
}

// roomsPage is one page of the caller's rooms, in the order of their ids.
type roomsPage struct {
	Rooms []core.Room `json:"rooms"`
	Next  string      `json:"next_page,omitempty"`
}

// membersRequest asks for a page of a room's active members.
type membersRequest struct {
	request.Page
	Room string `json:"room"`
	Keys bool   `json:"keys,omitempty"` // with their published keys
}

// Member is a member with what the list of users says, and without the statements that the
// members have signed.
type Member struct {
	core.Member
	Name   *string         `json:"name,omitempty"`
	Status core.UserStatus `json:"status"`
	KEMKey []byte          `json:"kem_key,omitzero"` // only where it was asked for
}

// membersPage is one page, in the order of the users' ids.
type membersPage struct {
	Members []Member `json:"members"`
	Next    string   `json:"next_page,omitempty"`
}

// inviteRequest puts a user into a room. Proof is opaque here.
type inviteRequest struct {
	Room  string          `json:"room"`
	User  string          `json:"user"`
	Role  core.MemberRole `json:"role,omitempty"` // "": member
	Proof []byte          `json:"proof,omitzero"`
}

// memberRequest names a member of a room.
type memberRequest struct {
	Room string `json:"room"`
	User string `json:"user"`
}

// roleRequest changes a member's role. The role owner hands the room over: the owner before is an admin then.
type roleRequest struct {
	Room string          `json:"room"`
	User string          `json:"user"`
	Role core.MemberRole `json:"role"`
}

// kemKeyRequest publishes the caller's key, which is opaque here.
type kemKeyRequest struct {
	Key []byte `json:"key"`
}

// Profile is what every user may know of another.
type Profile struct {
	ID     core.UserID     `json:"id"`
	Name   *string         `json:"name,omitempty"`
	Role   core.UserRole   `json:"role"`
	Status core.UserStatus `json:"status"`
	KEMKey []byte          `json:"kem_key,omitzero"`

	Record *core.User `json:"record,omitempty"` // the whole record, for user-admins
}

// keyRequest asks for the caller's own box of an epoch.
type keyRequest struct {
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

// boxRequest gives an active member a box of the present epoch, which must be the one that Epoch and Rec name.
type boxRequest struct {
	Box
	Room  string     `json:"room"`
	Epoch core.Epoch `json:"epoch"`
	Rec   string     `json:"rec"`
}

// rekeyPart brings boxes of epoch From+1 under a rec that the caller made at
// random. Nothing counts before the commit.
type rekeyPart struct {
	Room  string     `json:"room"`
	From  core.Epoch `json:"from"`
	Rec   string     `json:"rec"`
	Boxes []Box      `json:"boxes"`
}

// staged says how many boxes a part had.
type staged struct {
	Boxes int `json:"boxes"`
}

// rekeyCommit moves the room to epoch From+1 with the boxes that were brought.
// Boxes is how many they must be.
type rekeyCommit struct {
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

// userRequest names a user.
type userRequest struct {
	User string `json:"user"`
}

// AddUserRequest adds a user.
type AddUserRequest struct {
	User string        `json:"user"`
	Name *string       `json:"name,omitempty"`
	Role core.UserRole `json:"role,omitempty"` // "": member

	Expires core.Millis `json:"expires,omitempty"` // the user is denied from then on; 0: never
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
