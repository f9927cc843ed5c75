package core

import "context"

// Store keeps a control plane. It is the sum of what the callers of StoreHandle
// use; two backends pass the same suite (core/store/storetest): SQLite for one
// node, replicated KV for a cluster.
//
// Every method is bounded by the backend's operation timeout as well as by ctx.
// Errors are *Error: KindUnavailable says that the backend could not answer and
// nothing is known, never that something is absent. Ids must come from ParseUserID
// and ParseRoomID. Values that are handed out are the caller's.
type Store interface {
	Backend() Backend

	// AddUser adds a user. KindExists where the id is taken, whatever its status;
	// KindInvalid for an unknown role or status, or an end that is no time.
	AddUser(ctx context.Context, u User) error
	// User returns one user, revoked or not. KindNotFound.
	User(ctx context.Context, id UserID) (User, error)
	// Users returns all users in the order of their ids, revoked ones included.
	Users(ctx context.Context) ([]User, error)
	// UserPage returns one page of the users that a query selects, with the counts of
	// all; now says who has expired. It is as current as Users. KindInvalid for a
	// request that Check refuses.
	UserPage(ctx context.Context, r UserPageRequest, now Millis) (UserPage, error)
	// ExpiringUsers returns the users that have an end, over or not, in the order of
	// their ids. Rows that cannot be read are left out: they admit no user. Screens and
	// timers ask under Unproven.
	ExpiringUsers(ctx context.Context) ([]User, error)
	// SetUserStatus revokes or activates a user and returns it as it is now. KindNotFound.
	SetUserStatus(ctx context.Context, id UserID, s UserStatus, at Millis) (User, error)
	// SetUserStatusAs is SetUserStatus in the name of a user-admin: KindRefused where
	// actor is not an active admin at the very moment of the change; at says whether it
	// has expired. Of two admins who revoke each other at once, one is refused.
	SetUserStatusAs(ctx context.Context, actor, id UserID, s UserStatus, at Millis) (User, error)
	// SetUserExpiry gives a user an end, or with 0 none, and returns it as it is now.
	// Its status stays as it is. KindNotFound; KindInvalid for a time that is none.
	SetUserExpiry(ctx context.Context, id UserID, expires, at Millis) (User, error)
	// SetKEMKey publishes the key to which a user's boxes are sealed and returns the user as it is now. KindNotFound.
	SetKEMKey(ctx context.Context, id UserID, key []byte, at Millis) (User, error)
	// Admit returns what an admission to the bus rests on, all of it under one proof.
	// With an error the admission is empty: the caller does not admit. An admission may
	// be some seconds old; under AsOf it is as of that moment or later.
	Admit(ctx context.Context, id UserID) (Admission, error)

	// CreateRoom creates a room at the epoch it carries. The owner must be a user: KindInvalid. KindExists.
	CreateRoom(ctx context.Context, r Room) error
	// Room returns one room with its current epoch. KindNotFound.
	Room(ctx context.Context, id RoomID) (Room, error)
	// Rooms returns all rooms in the order of their ids.
	Rooms(ctx context.Context) ([]Room, error)
	// RoomPage returns one page of the rooms that a query selects, with the counts of
	// all. It is as current as Rooms; notes say what a store does not keep with a room,
	// nil for nothing. KindInvalid for a request that Check refuses.
	RoomPage(ctx context.Context, r RoomPageRequest, notes *RoomNotes) (RoomPage, error)
	// UpdateRoom changes a room and returns it as it is now. KindNotFound;
	// KindInvalid for a new owner that is not a user; KindRefused where the room is
	// archived, or where the backend cannot hold what is asked.
	UpdateRoom(ctx context.Context, id RoomID, c RoomChange) (Room, error)
	// PutMember adds a member to a room or changes the role. In the state invited it
	// keeps an invitation to the role: KindExists for an active member. KindNotFound
	// where the room or the user is not there; KindInvalid in the state removed.
	PutMember(ctx context.Context, m Member) error
	// AcceptInvitation makes an active member of an invited user, as of at.
	// KindNotFound without an invitation.
	AcceptInvitation(ctx context.Context, room RoomID, user UserID, at Millis) (Member, error)
	// Invitations returns those that are pending and match, in the order of room and user.
	Invitations(ctx context.Context, f InvitationFilter) ([]Member, error)
	// SetMemberRole changes the role of an active member, and not of one that was
	// removed meanwhile. KindNotFound where the user is not an active member.
	SetMemberRole(ctx context.Context, room RoomID, user UserID, role MemberRole) (Member, error)
	// Member returns one active member. KindNotFound where the user is not one.
	Member(ctx context.Context, room RoomID, user UserID) (Member, error)
	// RemoveMember removes a member or an invitation, and returns the record as it was
	// before. KindNotFound where there is neither.
	RemoveMember(ctx context.Context, room RoomID, user UserID) (before Member, err error)
	// Members returns the active members of a room in the order of their ids. KindNotFound where there is no such room.
	Members(ctx context.Context, room RoomID) ([]Member, error)
	// RoomMembers returns every row of a room's members in the order of their ids: active
	// and invited ones, and removed ones where the backend keeps them. KindNotFound.
	RoomMembers(ctx context.Context, room RoomID) ([]Member, error)
	// ChangeMembers gives decide the rows of RoomMembers and writes those that it returns:
	// all or none, and only if none of these was changed meanwhile. Otherwise decide is
	// called again with the present rows. From its first call on the backend keeps rows of
	// removed members. An error of decide changes nothing. KindNotFound for an unknown
	// room or user.
	ChangeMembers(ctx context.Context, room RoomID, decide func(rows []Member) (write []Member, err error)) error
	// MemberCount is how many active members and pending invitations a room has.
	MemberCount(ctx context.Context, room RoomID) (members, invited int, err error)
	// MemberCounts is how many active members each of some rooms has, by one proof;
	// rooms without any may be missing.
	MemberCounts(ctx context.Context, rooms []RoomID) (map[RoomID]int, error)
	// RoomsOf returns the rooms of which a user is an active member, in order.
	RoomsOf(ctx context.Context, user UserID) ([]RoomID, error)
	// PutKey stores one more sealed key of the room's current epoch, for a user
	// invited later. Epoch must be the room's: KindConflict. The user must be there:
	// KindNotFound. Rec is set by the store.
	PutKey(ctx context.Context, k SealedKey) error
	// StageKeys keeps boxes of epoch from+1 under a rec of the caller's choosing
	// (ParseRec), in as many calls as it takes. Nothing leads to them until
	// CommitRekey; boxes that are not committed are garbage, or forgotten. A box that
	// is staged twice is replaced. Room, Epoch and Rec of the keys are set by the
	// store. KindConflict where the room is no longer at from; KindNotFound for a box
	// of an unknown user.
	StageKeys(ctx context.Context, room RoomID, from Epoch, rec string, keys []SealedKey) error
	// StagedFor returns the users that have a staged box, in the order of their ids.
	// KindConflict where the room is no longer at from.
	StagedFor(ctx context.Context, room RoomID, from Epoch, rec string) ([]UserID, error)
	// CommitRekey keeps the record of epoch from+1 and moves the room there, to the
	// boxes that were staged under rec: all or nothing. KindConflict where the room
	// is no longer at from; KindRefused where it is archived or the backend cannot
	// keep a record.
	CommitRekey(ctx context.Context, room RoomID, from Epoch, rec string, record []byte) (Room, error)
	// Epochs returns the records that led to the room's current epoch, from upto
	// downwards, at most limit. Keys from a legacy database have none: there it ends. KindNotFound.
	Epochs(ctx context.Context, room RoomID, upto Epoch, limit int) ([]EpochRecord, error)
	// Key returns the box of one member in one epoch that led to the room's current one. KindNotFound.
	Key(ctx context.Context, room RoomID, epoch Epoch, user UserID) (SealedKey, error)

	// DeleteOldKeys deletes the boxes of epochs that were over before a time. It deletes those
	// below an epoch that led to the room's current one, or is it, and had a box by then.
	// Records stay, so every epoch can still be followed, and so do keys from a legacy
	// database. At most limit, and it returns how many; less than limit says that no more are
	// left. Several nodes may call it at once.
	DeleteOldKeys(ctx context.Context, before Millis, limit int) (int, error)

	// KeyHolders returns the users that have a box of the room's current epoch, in the
	// order of their ids. KindNotFound where there is no such room.
	KeyHolders(ctx context.Context, room RoomID) ([]UserID, error)
	// RoomKeys returns the members of each room and the holders of its current key, in
	// one pass, in the order of the rooms' ids. Screens ask all the time, so they ask
	// under Unproven.
	RoomKeys(ctx context.Context) ([]RoomKeys, error)
	// RoomsOpenedBy returns the encrypted rooms whose current key a user has, a member or
	// not, in the order of their ids.
	RoomsOpenedBy(ctx context.Context, user UserID) ([]RoomID, error)
	// EpochBegan is when the first box of the room's current epoch was made, the room
	// itself for one without boxes at epoch 0; 0 where it is not known. KindNotFound.
	EpochBegan(ctx context.Context, room RoomID) (Millis, error)

	// Counts is how much there is, for screens.
	Counts(ctx context.Context) (Counts, error)

	// Close releases the backend. Twice is harmless; later calls give KindUnavailable.
	Close() error
}

// Admission is a user's status, end and rooms as of one moment.
type Admission struct {
	Status  UserStatus // "" for a user that the store does not know
	Expires Millis     // 0: never
	Rooms   []RoomID   // in which a user of the status active is an active member, in order; of others none
}

// IsActive is true only for a user that is neither revoked nor expired.
func (a Admission) IsActive(now Millis) bool { return a.Status == UserActive && !a.Expired(now) }

// Expired is true for a user whose time is over.
func (a Admission) Expired(now Millis) bool { return a.Expires != 0 && now >= a.Expires }

// UserReader is the part of a Store that HasAdmin asks.
type UserReader interface {
	User(ctx context.Context, id UserID) (User, error)
}

// HasAdmin is true only for a user of role admin that is active at now. With an error it is false: the caller denies.
func HasAdmin(ctx context.Context, users UserReader, id UserID, now Millis) (bool, error) {
	u, err := users.User(ctx, id)
	if KindOf(err) == KindNotFound {
		return false, nil
	}
	return err == nil && u.IsActiveAdmin(now), err
}

// RoomReader is the part of a Store that ReadRooms asks.
type RoomReader interface {
	Room(ctx context.Context, id RoomID) (Room, error)
}

// ReadRooms reads rooms one by one, in the order of their ids; those that are not there are
// left out. A user has few rooms, and a store many: see Store.RoomsOf.
func ReadRooms(ctx context.Context, from RoomReader, ids []RoomID) ([]Room, error) {
	rooms := make([]Room, 0, len(ids))
	for _, id := range ids {
		r, err := from.Room(ctx, id)
		switch {
		case KindOf(err) == KindNotFound:
		case err != nil:
			return nil, err
		default:
			rooms = append(rooms, r)
		}
	}
	return rooms, nil
}

// InvitationFilter selects invitations by the fields that are not zero; at least
// one is not.
type InvitationFilter struct {
	Room RoomID
	User UserID
	By   UserID // the inviter
}

// Matches is true where a member's record is an invitation that the filter
// selects.
func (f InvitationFilter) Matches(m Member) bool {
	return m.State == MemberInvited && (f.Room == "" || m.Room == f.Room) && (f.User == "" || m.User == f.User) &&
		(f.By == "" || m.InvitedBy != nil && *m.InvitedBy == string(f.By))
}

// RoomChange is what UpdateRoom changes; zero values stay as they are.
type RoomChange struct {
	Name  *string
	Owner UserID
	State RoomState

	IfOwner UserID // Owner is set only while this user owns the room; "": whatever the owner is
}

// Apply returns the room as it is after the change: KindRefused for one that is
// archived, KindInvalid for an unknown state, KindConflict for another owner than IfOwner.
func (c RoomChange) Apply(r Room) (Room, error) {
	switch c.State {
	case "", RoomActive, RoomArchived:
	default:
		return Room{}, Errorf(KindInvalid, "%q is not a state of rooms", c.State).WithNext("use active or archived")
	}
	if r.State == RoomArchived && c.State != RoomActive {
		return Room{}, ErrArchived(r.ID)
	}
	if c.IfOwner != "" && r.Owner != c.IfOwner && r.Owner != c.Owner { // a change that was made already is no conflict
		return Room{}, Errorf(KindConflict, "the room %s has another owner by now: %s", r.ID, r.Owner.Short()).WithNext("look at the room before you try again")
	}
	if c.Name != nil {
		r.Name = c.Name
	}
	if c.Owner != "" {
		r.Owner = c.Owner
	}
	if c.State != "" {
		r.State = c.State
	}
	return r, nil
}

// ErrArchived is the error of a change in an archived room. KindRefused.
func ErrArchived(id RoomID) *Error {
	return Errorf(KindRefused, "the room %s is archived and cannot be changed", id).WithNext("continue in another room")
}
