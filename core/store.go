package core

import "context"

// Store keeps a control plane. Two backends pass the same suite
// (core/store/storetest): SQLite for one node, replicated KV for a cluster.
//
// Every method is bounded by the backend's operation timeout as well as by ctx.
// Errors are *Error: KindUnavailable says that the backend could not answer and
// nothing is known, never that something is absent. Ids must come from
// ParseUserID and ParseRoomID. Values that are handed out are the caller's.
type Store interface {
	Backend() Backend

	// AddUser adds a user. KindExists where the id is taken, whatever its status;
	// KindInvalid for an unknown role or status.
	AddUser(ctx context.Context, u User) error
	// User returns one user, revoked or not. KindNotFound.
	User(ctx context.Context, id UserID) (User, error)
	// Users returns all users in the order of their ids, revoked ones included.
	Users(ctx context.Context) ([]User, error)
	// SetUserStatus revokes or activates a user and returns it as it is now. KindNotFound.
	SetUserStatus(ctx context.Context, id UserID, s UserStatus, at Millis) (User, error)
	// SetUserStatusAs is SetUserStatus in the name of a user-admin: KindRefused
	// where actor is not an active admin at the very moment of the change. Of two
	// admins who revoke each other at once, one is refused.
	SetUserStatusAs(ctx context.Context, actor, id UserID, s UserStatus, at Millis) (User, error)
	// IsAuthorized is true only for an active user. With an error it is false: the caller denies.
	IsAuthorized(ctx context.Context, id UserID) (bool, error)
	// HasAdmin is true only for an active user of role admin. With an error it is false: the caller denies.
	HasAdmin(ctx context.Context, id UserID) (bool, error)

	// CreateRoom creates a room at the epoch it carries. The owner must be a user: KindInvalid. KindExists.
	CreateRoom(ctx context.Context, r Room) error
	// Room returns one room with its current epoch. KindNotFound.
	Room(ctx context.Context, id RoomID) (Room, error)
	// Rooms returns all rooms in the order of their ids.
	Rooms(ctx context.Context) ([]Room, error)
	// PutMember adds somebody to a room or changes the role. KindNotFound where the room or the user is not there.
	PutMember(ctx context.Context, m Member) error
	// RemoveMember takes somebody out of a room. KindNotFound where they are not an active member.
	RemoveMember(ctx context.Context, room RoomID, user UserID) error
	// Members returns the active members of a room in the order of their ids. KindNotFound where there is no such room.
	Members(ctx context.Context, room RoomID) ([]Member, error)
	// MemberCounts is how many active members each room has, in one pass; rooms without any may be missing.
	MemberCounts(ctx context.Context) (map[RoomID]int, error)
	// RoomsOf returns the rooms of which a user is an active member, in order.
	RoomsOf(ctx context.Context, user UserID) ([]RoomID, error)
	// PutKey stores one more sealed key of the room's current epoch, for somebody invited later.
	// Epoch must be the room's: KindConflict. Rec is set by the store.
	PutKey(ctx context.Context, k SealedKey) error
	// Rekey stores the boxes of epoch from+1 and moves the room there: all or nothing.
	// KindConflict where the room is no longer at from. Epoch and Rec of the keys are set by the store.
	Rekey(ctx context.Context, room RoomID, from Epoch, keys []SealedKey) (Room, error)
	// Key returns the box of one member in one epoch that led to the room's current one. KindNotFound.
	Key(ctx context.Context, room RoomID, epoch Epoch, user UserID) (SealedKey, error)

	// KeyHolders returns who has a box of the room's current epoch, in the order of their ids. KindNotFound where there is no such room.
	KeyHolders(ctx context.Context, room RoomID) ([]UserID, error)

	// Counts is how much there is, for screens.
	Counts(ctx context.Context) (Counts, error)
	// Export returns everything: every sealed key of every epoch, users with their status.
	Export(ctx context.Context) (Snapshot, error)
	// Import writes a snapshot over what is there and returns how many keys or
	// rows it put; equal ones are not written, so that a second run returns 0.
	// What the snapshot lacks is left alone.
	Import(ctx context.Context, s Snapshot) (written int, err error)

	// Close releases the backend. Twice is harmless; later calls give KindUnavailable.
	Close() error
}
