package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Table is one of the five parts of a control plane. Each is a KV bucket of its
// own; all but the derived index are also tables of the SQLite file.
type Table string

// The tables, in the order in which they are copied.
const (
	TableUsers         Table = "users"
	TableRooms         Table = "rooms"
	TableMembers       Table = "members"
	TableRoomKeys      Table = "room_keys"
	TableRoomsByMember Table = "rooms_by_member" // derived from members
)

// Tables returns all five in the order in which they are copied.
func Tables() []Table {
	return []Table{TableUsers, TableRooms, TableMembers, TableRoomKeys, TableRoomsByMember}
}

// Bucket is the name of the table's KV bucket.
func (t Table) Bucket() string { return "UNIBUS_" + string(t) }

// Row is one record in the form of the buckets: its key and the canonical JSON
// value. Two control planes are equal where their rows are.
type Row struct {
	Table Table
	Key   string
	Value []byte
}

// The "v" field of a value. A value that needs a field which an older program does not
// know has a higher version, so that the older one refuses the row: it would act without
// the field, and drop it when it writes the row again.
const (
	// FirstValueVersion is the version of values that every release reads.
	FirstValueVersion = 1
	userWithEndValue  = 2 // a user that expires

	memberWithStatementsValue = 3 // a member whose Proof is a list of signed statements
)

// ValueVersion is the version of a row's value; 0 for other texts.
func ValueVersion(value []byte) int {
	text, ok := bytes.CutPrefix(value, []byte(`{"v":`))
	if !ok {
		return 0
	}
	version, _, _ := bytes.Cut(text, []byte(","))
	n, _ := strconv.Atoi(string(bytes.TrimSuffix(version, []byte("}")))) // 0 for what is no number
	return n
}

// The values of the buckets. They do not repeat the parts of the key.
type (
	userValue struct {
		V       int        `json:"v"`
		Name    *string    `json:"name,omitempty"`
		Role    UserRole   `json:"role"`
		Status  UserStatus `json:"status"`
		KEMKey  []byte     `json:"kem_key,omitzero"`
		Created Millis     `json:"created"`
		Updated Millis     `json:"updated"`
		Expires Millis     `json:"expires,omitempty"` // from version 2 on
	}
	roomValue struct {
		V         int       `json:"v"`
		Name      *string   `json:"name,omitempty"`
		Owner     UserID    `json:"owner"`
		Encrypted bool      `json:"encrypted"`
		Epoch     Epoch     `json:"epoch"`
		Rec       string    `json:"rec"`
		State     RoomState `json:"state"`
		Created   Millis    `json:"created"`
	}
	memberValue struct {
		V         int         `json:"v"`
		Role      MemberRole  `json:"role"`
		State     MemberState `json:"state"`
		InvitedBy *string     `json:"invited_by,omitempty"`
		Proof     []byte      `json:"proof,omitzero"`
		Joined    Millis      `json:"joined"`
	}
	keyValue struct {
		V        int     `json:"v"`
		Box      []byte  `json:"box"`
		SealedBy *string `json:"sealed_by,omitempty"`
		Created  Millis  `json:"created"`
	}
	recordValue struct {
		V      int    `json:"v"`
		Prev   string `json:"prev"`
		Record []byte `json:"record,omitzero"`
	}
	indexValue struct {
		V     int         `json:"v"`
		State MemberState `json:"state"`
	}
)

// RecordSuffix ends the key of an epoch record; no user id can look like it.
const RecordSuffix = "_record"

// UserRow encodes a user.
func UserRow(u User) Row {
	version := FirstValueVersion
	if u.Expires != 0 {
		version = userWithEndValue
	}
	return row(TableUsers, string(u.ID), userValue{version, u.Name, u.Role, u.Status, u.KEMKey, u.Created, u.Updated, u.Expires})
}

// RoomRow encodes a room.
func RoomRow(r Room) Row {
	return row(TableRooms, string(r.ID), roomValue{FirstValueVersion, r.Name, r.Owner, r.Encrypted, r.Epoch, r.Rec, r.State, r.Created})
}

// MemberRow encodes a member.
func MemberRow(m Member) Row {
	version := FirstValueVersion
	if HasStatements(m.Proof) {
		version = memberWithStatementsValue
	}
	return row(TableMembers, string(m.Room)+"."+string(m.User),
		memberValue{version, m.Role, m.State, m.InvitedBy, m.Proof, m.Joined})
}

// IndexRow encodes the entry of the reverse index that belongs to a member.
func IndexRow(m Member) Row {
	return row(TableRoomsByMember, string(m.User)+"."+string(m.Room), indexValue{FirstValueVersion, m.State})
}

// KeyRow encodes a sealed key.
func KeyRow(k SealedKey) Row {
	return row(TableRoomKeys, EpochPrefix(k.Room, k.Epoch, k.Rec)+string(k.User),
		keyValue{FirstValueVersion, k.Box, k.SealedBy, k.Created})
}

// RecordRow encodes an epoch record.
func RecordRow(r EpochRecord) Row {
	return row(TableRoomKeys, EpochPrefix(r.Room, r.Epoch, r.Rec)+RecordSuffix, recordValue{FirstValueVersion, r.Prev, r.Record})
}

// EpochPrefix begins the keys of all boxes of one epoch record, the last dot
// included.
func EpochPrefix(room RoomID, epoch Epoch, rec string) string {
	return string(room) + "." + strconv.FormatUint(uint64(epoch), 10) + "." + rec + "."
}

// row marshals v, which is one of the value types above.
func row(t Table, key string, v any) Row {
	if a, ok := v.(appender); ok {
		return Row{Table: t, Key: key, Value: a.appendTo(make([]byte, 0, 128))}
	}
	return Row{Table: t, Key: key, Value: encoded(v)}
}

// DecodeUser decodes a row of TableUsers. KindFailed names the key of a row that is damaged.
func DecodeUser(r Row) (User, error) {
	var v userValue
	if err := decodeUpTo(userWithEndValue, r, &v, &v.V); err != nil {
		return User{}, err
	}
	return User{UserID(r.Key), v.Name, v.Role, v.Status, v.KEMKey, v.Created, v.Updated, v.Expires}, nil
}

// DecodeRoom decodes a row of TableRooms.
func DecodeRoom(r Row) (Room, error) {
	var v roomValue
	if err := decode(r, &v, &v.V); err != nil {
		return Room{}, err
	}
	return Room{RoomID(r.Key), v.Name, v.Owner, v.Encrypted, v.Epoch, v.Rec, v.State, v.Created}, nil
}

// DecodeMember decodes a row of TableMembers.
func DecodeMember(r Row) (Member, error) {
	var v memberValue
	parts := strings.Split(r.Key, ".")
	if err := decodeUpTo(memberWithStatementsValue, r, &v, &v.V); err != nil {
		return Member{}, err
	}
	if len(parts) != 2 {
		return Member{}, badRow(r, "its key has not the form room.user")
	}
	return Member{RoomID(parts[0]), UserID(parts[1]), v.Role, v.State, v.InvitedBy, v.Proof, v.Joined}, nil
}

// DecodeKey decodes a row of TableRoomKeys: either a sealed key or an epoch record, the other is nil.
func DecodeKey(r Row) (*SealedKey, *EpochRecord, error) {
	parts := strings.Split(r.Key, ".")
	if len(parts) != 4 {
		return nil, nil, badRow(r, "its key has not the form room.epoch.rec.user")
	}
	n, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != parts[1] {
		return nil, nil, badRow(r, "its epoch is not a number")
	}
	room, epoch, rec := RoomID(parts[0]), Epoch(n), parts[2]
	if parts[3] == RecordSuffix {
		var v recordValue
		if err := decode(r, &v, &v.V); err != nil {
			return nil, nil, err
		}
		return nil, &EpochRecord{room, epoch, rec, v.Prev, v.Record}, nil
	}
	var v keyValue
	if err := decode(r, &v, &v.V); err != nil {
		return nil, nil, err
	}
	return &SealedKey{room, epoch, rec, UserID(parts[3]), v.Box, v.SealedBy, v.Created}, nil, nil
}

func decode(r Row, into any, version *int) error {
	return decodeUpTo(FirstValueVersion, r, into, version)
}

// decodeUpTo refuses fields that it does not know, whatever the version says: they would be
// lost with the next change of the row.
func decodeUpTo(newest int, r Row, into any, version *int) error {
	values := json.NewDecoder(bytes.NewReader(r.Value))
	values.DisallowUnknownFields()
	err := values.Decode(into)
	switch {
	case *version > newest:
		return newerRow(r, fmt.Sprintf("its version is %d, and this program knows %d", *version, newest))
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		return newerRow(r, "it has the field "+strings.TrimPrefix(err.Error(), "json: unknown field ")+", which this program does not know")
	case err != nil || *version < 1 || len(bytes.TrimSpace(r.Value[values.InputOffset():])) > 0:
		return badRow(r, "its value is not JSON of the expected form")
	}
	return nil
}

// newerRow refuses a row that a newer program has written.
func newerRow(r Row, why string) error {
	return AsError(badRow(r, why)).WithNext("a newer release may have written it: run that release on every node (docs/operations/upgrades.md)")
}

func badRow(r Row, why string) error {
	return Errorf(KindFailed, "the record %s in %s cannot be read: %s", r.Key, r.Table.Bucket(), why)
}
