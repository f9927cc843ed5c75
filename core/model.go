package core

import "time"

// Millis is a time in Unix milliseconds, the form in which every time is stored.
type Millis int64

// MillisOf converts a time.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time converts back, in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// UserRole is what a user may do on the bus.
type UserRole string

// The roles of users. An admin here is a bus user that manages users and rooms, and not an operator.
const (
	RoleMember UserRole = "member"
	RoleAdmin  UserRole = "admin"
)

// UserStatus decides whether a user is admitted.
type UserStatus string

// The states of a user. Users are never deleted.
const (
	UserActive  UserStatus = "active"
	UserRevoked UserStatus = "revoked"

	UserExpired UserStatus = "expired" // StatusAt alone says it: no store keeps it
)

// User is an endpoint of the bus. A nil Name or KEMKey is absent (NULL), which is not the same as empty.
type User struct {
	ID      UserID     `json:"id"`
	Name    *string    `json:"name,omitempty"`
	Role    UserRole   `json:"role"`
	Status  UserStatus `json:"status"`
	KEMKey  []byte     `json:"kem_key,omitzero"` // public key to which room keys are sealed
	Created Millis     `json:"created"`
	Updated Millis     `json:"updated"`
	Expires Millis     `json:"expires,omitempty"` // the user is denied from then on; 0: never
}

// IsAddedAs is true where u is the user that was to be added: the same key, name, role and end.
// Later changes of the user are left out.
func (u User) IsAddedAs(wanted User) bool {
	sameName := (u.Name == nil) == (wanted.Name == nil) && (u.Name == nil || *u.Name == *wanted.Name)
	sameRole := u.Role == wanted.Role || wanted.Role == "" && u.Role == RoleMember
	return u.ID == wanted.ID && sameName && sameRole && u.Expires == wanted.Expires
}

// Expired is true for a user whose time is over.
func (u User) Expired(now Millis) bool { return u.Expires != 0 && now >= u.Expires }

// StatusAt is the status that counts at a time: an active user expires.
func (u User) StatusAt(now Millis) UserStatus {
	if u.Status == UserActive && u.Expired(now) {
		return UserExpired
	}
	return u.Status
}

// IsActive is true for a user that is neither revoked nor expired.
func (u User) IsActive(now Millis) bool { return u.Status == UserActive && !u.Expired(now) }

// IsActiveAdmin is true for an active user of role admin.
func (u User) IsActiveAdmin(now Millis) bool { return u.IsActive(now) && u.Role == RoleAdmin }

// CheckExpiry refuses a time that can be no user's end. KindInvalid.
func CheckExpiry(at Millis) error {
	if at < 0 || at > maxExpiry {
		return Errorf(KindInvalid, "%d is no time at which a user can end", at).WithNext("give a time of this century in Unix milliseconds, or 0 for no end")
	}
	return nil
}

// CheckNewExpiry refuses an end for a user that is over at now, too. KindInvalid.
func CheckNewExpiry(at, now Millis) error {
	if at > 0 && at <= now {
		return Errorf(KindInvalid, "the end %s is over already", at.Time().Format(time.RFC3339)).
			WithNext("give a time that is still to come; to shut a user out now: unibusd user revoke NKEY")
	}
	return CheckExpiry(at)
}

// maxExpiry is the end of the year 9999. Later times have no form in RFC 3339.
const maxExpiry Millis = 253402300799999

// RoomState is whether a room is in use.
type RoomState string

// The states of a room. Rooms are never deleted.
const (
	RoomActive   RoomState = "active"
	RoomArchived RoomState = "archived"
)

// Epoch is the generation of a room's key, counted from 0.
type Epoch uint64

// LegacyRec is the rec of every key that came from a database without records of its own.
const LegacyRec = "0"

// Room is a place where users meet. Rec names the record of the current epoch's keys.
type Room struct {
	ID        RoomID    `json:"id"`
	Name      *string   `json:"name,omitempty"`
	Owner     UserID    `json:"owner"`
	Encrypted bool      `json:"encrypted"`
	Epoch     Epoch     `json:"epoch"`
	Rec       string    `json:"rec"`
	State     RoomState `json:"state"`
	Created   Millis    `json:"created"`
}

// MemberRole is what a user may do in one room.
type MemberRole string

// The roles of members.
const (
	MemberOwner  MemberRole = "owner"
	MemberAdmin  MemberRole = "admin"
	MemberMember MemberRole = "member"
)

// MemberState is whether a user is in a room.
type MemberState string

// The states of a member. A backend without states (SQLite version 1) forgets removed members.
const (
	MemberActive  MemberState = "active"
	MemberInvited MemberState = "invited" // invited, and not a member yet: no decision counts it as one
	MemberRemoved MemberState = "removed"
)

// Member is a user in a room. InvitedBy and Proof are opaque here; nil is absent (NULL).
type Member struct {
	Room      RoomID      `json:"room"`
	User      UserID      `json:"user"`
	Role      MemberRole  `json:"role"`
	State     MemberState `json:"state"`
	InvitedBy *string     `json:"invited_by,omitempty"`
	Proof     []byte      `json:"proof,omitzero"`
	Joined    Millis      `json:"joined"`
}

// SealedKey is a room's key of one epoch, sealed to one member. Box and SealedBy are opaque here.
type SealedKey struct {
	Room     RoomID  `json:"room"`
	Epoch    Epoch   `json:"epoch"`
	Rec      string  `json:"rec"`
	User     UserID  `json:"user"`
	Box      []byte  `json:"box"`
	SealedBy *string `json:"sealed_by,omitempty"`
	Created  Millis  `json:"created"`
}

// EpochRecord binds the keys of one epoch together and names the rec of the epoch
// before it, so that a reader can follow the keys of a room back. Keys from a
// legacy database have none: their rec is LegacyRec in every epoch.
type EpochRecord struct {
	Room   RoomID `json:"room"`
	Epoch  Epoch  `json:"epoch"`
	Rec    string `json:"rec"`
	Prev   string `json:"prev"`            // rec of epoch-1
	Record []byte `json:"record,omitzero"` // signed by the member who rekeyed; opaque here
}

// Counts is how much a control plane holds. Members counts active ones.
type Counts struct {
	Users   int `json:"users"`
	Rooms   int `json:"rooms"`
	Members int `json:"members"`
	Keys    int `json:"keys"`
}

// Backend is a kind of Store.
type Backend string

// The backends. BackendNone is the authority of a cluster whose migration was aborted: as if there were no record.
const (
	BackendSQLite Backend = "sqlite"
	BackendKV     Backend = "kv"
	BackendNone   Backend = "none"
)

// Served is the name of a served backend for people: "kv", "sqlite" or "nothing".
func (b Backend) Served() string {
	if b == BackendNone || b == "" {
		return "nothing"
	}
	return string(b)
}

// Authority is the store that counts now. It is kept in one record, changed by
// CAS, and in every node's journal.
type Authority struct {
	Backend    Backend `json:"backend"`
	Node       string  `json:"node"` // the only node that may hand the authority over
	Generation uint64  `json:"generation"`
}
