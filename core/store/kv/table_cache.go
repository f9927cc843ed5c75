package kv

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"unibus/core"
)

// record is one current key of a bucket, decoded. err says why a record cannot be
// decoded; its readers get that error.
type record struct {
	rev    uint64
	user   *core.User
	room   *core.Room
	member *core.Member
	err    error
}

// decodeRecord decodes a row of the tables that are kept whole. The others have no
// value here.
func decodeRecord(r core.Row, rev uint64) record {
	out := record{rev: rev}
	switch r.Table {
	case core.TableUsers:
		u, err := core.DecodeUser(r)
		out.user, out.err = &u, err
	case core.TableRooms:
		v, err := core.DecodeRoom(r)
		out.room, out.err = &v, err
	case core.TableMembers:
		m, err := core.DecodeMember(r)
		out.member, out.err = &m, err
	}
	if out.err != nil {
		out.user, out.room, out.member = nil, nil, nil
	}
	return out
}

// table is what a watch has seen of one bucket, up to a sequence.
type table struct {
	name          core.Table
	seq           uint64 // of the last message that was seen
	records       map[string]record
	deletedRevs   map[string]uint64 // keys whose newest message is a delete marker, with its revision
	namesByPrefix groups            // names after the last dot of a key, by the part before it
	roomsByUser   groups            // members only: rooms by user
	pending       groups            // members only: keys of invitations, by inviter
	guard         guard
	token         string // of this node's newest barrier
	tokenAt       uint64
	faulty        map[string]error // records that cannot be decoded

	members    map[core.RoomID]memberCount // members only: of the rooms that have any
	allMembers int                         // active ones

	indexLock sync.Mutex
	userIndex *core.UserIndex // users only: nil until the first page is asked for
	roomIndex *core.RoomIndex // rooms only; so is this
}

// memberCount is how many records of a room's members are in a state that counts.
type memberCount struct{ active, invited int }

// groups are sets of names by another name.
type groups map[string]map[string]struct{}

func (g groups) add(group, name string) {
	if g[group] == nil {
		g[group] = map[string]struct{}{}
	}
	g[group][name] = struct{}{}
}

// remove takes a name out of its group.
func (g groups) remove(group, name string) {
	delete(g[group], name)
	if len(g[group]) == 0 {
		delete(g, group)
	}
}

func newTable(name core.Table) *table {
	return &table{name: name, records: map[string]record{}, deletedRevs: map[string]uint64{}, namesByPrefix: groups{}, roomsByUser: groups{}, pending: groups{}, members: map[core.RoomID]memberCount{}, faulty: map[string]error{}}
}

// put stores a current record.
func (t *table) put(key string, r record) {
	before, known := t.records[key]
	if !known {
		t.group(key, groups.add)
	}
	t.invitation(key, before, groups.remove)
	t.invitation(key, r, groups.add)
	t.records[key] = r
	t.countMember(before, -1)
	t.countMember(r, 1)
	t.index(key, before, r)
	delete(t.deletedRevs, key)
}

// remove drops a record and keeps the revision of its delete marker.
func (t *table) remove(key string, rev uint64) {
	if before, known := t.records[key]; known {
		t.group(key, groups.remove)
		t.invitation(key, before, groups.remove)
		t.countMember(before, -1)
		delete(t.records, key)
		t.index(key, before, record{})
	}
	t.deletedRevs[key] = rev
}

// invitation adds or removes a record among its inviter's, where it is an
// invitation.
func (t *table) invitation(key string, r record, do func(groups, string, string)) {
	if r.member != nil && r.member.State == core.MemberInvited && r.member.InvitedBy != nil {
		do(t.pending, *r.member.InvitedBy, key)
	}
}

// countMember counts a record of a member, or takes it from the count with -1.
func (t *table) countMember(r record, n int) {
	if r.member == nil {
		return
	}
	c := t.members[r.member.Room]
	switch r.member.State {
	case core.MemberActive:
		c.active += n
		t.allMembers += n
	case core.MemberInvited:
		c.invited += n
	}
	if t.members[r.member.Room] = c; c == (memberCount{}) {
		delete(t.members, r.member.Room)
	}
}

// readable is nil unless a record cannot be read: a count or list without that record
// would be wrong.
func (t *table) readable() error {
	for _, err := range t.faulty {
		return err
	}
	return nil
}

// index brings a change into the index of the table, and notes what cannot be read.
func (t *table) index(key string, before, now record) {
	if now.err != nil {
		t.faulty[key] = now.err
	} else {
		delete(t.faulty, key)
	}
	if t.userIndex != nil {
		t.userIndex.Put(before.user, now.user)
	}
	if t.roomIndex != nil {
		t.roomIndex.Put(before.room, now.room)
	}
}

// users is the index of the users.
func (t *table) users() *core.UserIndex {
	return indexed(t, &t.userIndex, core.NewUserIndex, func(r record) *core.User { return r.user })
}

// rooms is the index of the rooms.
func (t *table) rooms() *core.RoomIndex {
	return indexed(t, &t.roomIndex, core.NewRoomIndex, func(r record) *core.Room { return r.room })
}

// indexed is an index of the table; the first call makes it.
func indexed[T, I any](t *table, index **I, newIndex func([]*T) *I, pick func(record) *T) *I {
	t.indexLock.Lock()
	defer t.indexLock.Unlock()
	if *index == nil {
		all := make([]*T, 0, len(t.records))
		for _, r := range t.records {
			all = append(all, pick(r))
		}
		*index = newIndex(all)
	}
	return *index
}

func (t *table) group(key string, do func(groups, string, string)) {
	if t.name != core.TableMembers && t.name != core.TableRoomKeys {
		return
	}
	dot := strings.LastIndexByte(key, '.')
	if dot < 0 { // not a key that unibus writes: counted all the same
		do(t.namesByPrefix, "", key)
		return
	}
	do(t.namesByPrefix, key[:dot], key[dot+1:])
	if t.name == core.TableMembers {
		do(t.roomsByUser, key[dot+1:], key[:dot])
	}
}

// keys returns the keys of the current records, in bytewise order.
func (t *table) keys() []string { return slices.Sorted(maps.Keys(t.records)) }

// change is the Change that reports the new state of a record; ok is false where
// there is none to report.
func change(table core.Table, key string, r record) (c Change, ok bool) {
	switch {
	case r.user != nil:
		u := cloneUser(*r.user)
		return Change{User: &u}, true
	case r.room != nil:
		v := cloneRoom(*r.room)
		return Change{Room: &v}, true
	case r.member != nil:
		m := cloneMember(*r.member)
		return Change{Member: &m}, true
	}
	return removal(table, key)
}

// removal is the Change of a record that was removed, or cannot be read.
func removal(table core.Table, key string) (Change, bool) {
	switch table {
	case core.TableUsers:
		return Change{User: &core.User{ID: core.UserID(key), Role: core.RoleMember, Status: core.UserRevoked}}, true
	case core.TableRooms:
		return Change{Room: &core.Room{ID: core.RoomID(key), State: core.RoomArchived}}, true
	case core.TableMembers:
		room, user, _ := strings.Cut(key, ".")
		return Change{Member: &core.Member{
			Room: core.RoomID(room), User: core.UserID(user),
			Role: core.MemberMember, State: core.MemberRemoved,
		}}, true
	}
	return Change{}, false
}

// Values that are handed out are the caller's: the cache shares nothing of them.

func cloneUser(u core.User) core.User {
	u.Name, u.KEMKey = clonePointer(u.Name), bytes.Clone(u.KEMKey)
	return u
}

func cloneRoom(r core.Room) core.Room {
	r.Name = clonePointer(r.Name)
	return r
}

func cloneMember(m core.Member) core.Member {
	m.InvitedBy, m.Proof = clonePointer(m.InvitedBy), bytes.Clone(m.Proof)
	return m
}

func clonePointer(s *string) *string {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

// guard is a bucket's `_authority` as the watch saw it: see DESIGN.md. The zero
// value is a bucket without one, which no store may use.
type guard struct {
	Generation uint64 `json:"generation"`
	Open       bool   `json:"open"`
	Holder     string `json:"holder,omitempty"` // of the export that holds the writes; "": nobody does

	rev uint64
}

const (
	keyGuard = "_authority"

	// Internal values are in headers too, for watches that ask for keys alone.
	hdrGuard = "Unibus-Guard"
	hdrToken = "Unibus-Token"
)

func decodeGuard(value []byte, rev uint64) guard {
	g := guard{rev: rev}
	if json.Unmarshal(value, &g) != nil {
		return guard{Generation: math.MaxUint64, rev: rev} // unreadable: stays shut
	}
	return g
}
