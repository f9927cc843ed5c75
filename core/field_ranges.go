package core

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// These functions are the only definition of the values that a field of a row may hold.
// Both stores, the reader and the writer of a file and every check call them. So a row
// that one of them accepts is accepted by all, and every stored row can be read again.

const (
	// MaxEpoch is the last epoch of a room: integers of a SQLite file end there.
	MaxEpoch Epoch = math.MaxInt64
	// MaxValue bounds a row's value, in bytes: NATS carries 1 MiB with its headers.
	MaxValue = 1<<20 - 512
)

// UserRoles returns the roles that a user may have.
func UserRoles() []UserRole { return []UserRole{RoleMember, RoleAdmin} }

// UserStatuses returns the statuses that a store may keep for a user.
func UserStatuses() []UserStatus { return []UserStatus{UserActive, UserRevoked} }

// RoomStates returns the states that a room may have.
func RoomStates() []RoomState { return []RoomState{RoomActive, RoomArchived} }

// MemberRoles returns the roles that a member may have.
func MemberRoles() []MemberRole { return []MemberRole{MemberOwner, MemberAdmin, MemberMember} }

// MemberStates returns the states that a member may have.
func MemberStates() []MemberState { return []MemberState{MemberActive, MemberInvited, MemberRemoved} }

// CheckUser refuses a user that a store cannot keep. KindInvalid.
func CheckUser(u User) error {
	return firstOf(
		checkUserID(u.ID), checkWord("a user's role", u.Role, UserRoles()), checkWord("a user's status", u.Status, UserStatuses()),
		CheckExpiry(u.Expires), CheckText("name", u.Name))
}

// CheckRoom refuses a room that a store cannot keep. KindInvalid.
func CheckRoom(r Room) error {
	_, err := ParseRoomID(string(r.ID))
	return firstOf(err, checkUserID(r.Owner), checkWord("a room's state", r.State, RoomStates()),
		CheckText("name", r.Name), CheckEpoch(r.ID, r.Epoch), CheckRecName(r.Rec))
}

// CheckMember refuses a member that a store cannot keep. KindInvalid.
func CheckMember(m Member) error {
	_, err := ParseRoomID(string(m.Room))
	return firstOf(err, checkUserID(m.User), checkWord("a member's role", m.Role, MemberRoles()),
		checkWord("a member's state", m.State, MemberStates()), CheckText("invited_by", m.InvitedBy))
}

// CheckMembersOf refuses a row that is not of a room, or that CheckMember refuses. KindInvalid.
func CheckMembersOf(room RoomID, m Member) error {
	if m.Room != room {
		return Errorf(KindInvalid, "the member %s is of the room %s, not %s", m.User.Short(), m.Room, room)
	}
	return CheckMember(m)
}

// CheckKey refuses a sealed key that a store cannot keep. KindInvalid.
func CheckKey(k SealedKey) error {
	_, err := ParseRoomID(string(k.Room))
	if err == nil && k.Box == nil {
		err = Errorf(KindInvalid, "the key of %s in the room %s has no box", k.User, k.Room)
	}
	return firstOf(err, checkUserID(k.User), CheckText("sealed_by", k.SealedBy), CheckEpoch(k.Room, k.Epoch), CheckRecName(k.Rec))
}

// CheckRecord refuses an epoch record that a store cannot keep. KindInvalid. Nothing
// leads past LegacyRec, so no record has that name.
func CheckRecord(r EpochRecord) error {
	_, err := ParseRoomID(string(r.Room))
	if err == nil && r.Rec == LegacyRec {
		err = Errorf(KindInvalid, "%q is the name of epochs without a record, not of a record", r.Rec)
	}
	return firstOf(err, CheckRecName(r.Rec), CheckRecName(r.Prev), CheckEpoch(r.Room, r.Epoch))
}

// CheckEpoch refuses an epoch beyond MaxEpoch. KindInvalid.
func CheckEpoch(room RoomID, e Epoch) error {
	if e > MaxEpoch {
		return Errorf(KindInvalid, "the epoch %d of the room %s is above %d, the last that there is", e, room, MaxEpoch).
			WithNext("continue in another room")
	}
	return nil
}

// CheckRecName refuses what cannot be a part of the keys of an epoch. KindInvalid.
func CheckRecName(rec string) error {
	if _, err := ParseRoomID(rec); err != nil {
		return Errorf(KindInvalid, "%q is not the name of an epoch's record", rec).
			WithNext("use 1 to 64 of A-Z a-z 0-9 _ -, the first not _")
	}
	return nil
}

// CheckText refuses a text that is not UTF-8: it would come back as another. nil is
// absent. KindInvalid.
func CheckText(field string, s *string) error {
	if s != nil && !utf8.ValidString(*s) {
		return Errorf(KindInvalid, "the %s %q is not UTF-8 text", field, *s).WithNext("write it in UTF-8")
	}
	return nil
}

// CheckRowSize refuses a row that is too large for a message. KindInvalid.
func CheckRowSize(r Row) error {
	if size := len(r.Value); size > MaxValue {
		return Errorf(KindInvalid, "the row %s of %s takes %d bytes as a message, more than the %d that fit", r.Key, r.Table, size, MaxValue).
			WithNext("shorten its largest value")
	}
	return nil
}

func checkUserID(id UserID) error {
	parsed, err := ParseUserID(string(id))
	if err == nil && parsed != id {
		err = Errorf(KindInvalid, "%q is not a user's id: it is not in upper case", id)
	}
	return err
}

func checkWord[T ~string](what string, v T, known []T) error {
	if slices.Contains(known, v) {
		return nil
	}
	return Errorf(KindInvalid, "%q is not %s", v, what).WithNext("use %s", JoinWords(known))
}

// JoinWords lists words for a person: a, b or c.
func JoinWords[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:len(texts)-1], ", ") + " or " + texts[len(texts)-1]
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
