package doctor

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"unibus/core"
)

// Rows reads what the leaders hold; the store in KV is one.
type Rows interface {
	// ExportRows hands out the rows of users, rooms, members and room_keys that count. It
	// ends with the first error of each.
	ExportRows(ctx context.Context, each func(core.Row) error) error
	// Keys yields the rows of a table in key order.
	Keys(ctx context.Context, t core.Table) iter.Seq2[core.Row, error]
}

// The checks of how rows fit together, and what it means where they do not.
const (
	checkRead  = "rows.readable"
	checkUsers = "rows.users"
	checkRooms = "rows.rooms"
	checkIndex = "rows.index"
)

// CheckRows reads every row that counts, and checks that it can be decoded, that it refers
// to rooms and users that there are, that the index by member is what members say, and
// that what the members of a room signed is one chain.
func CheckRows(ctx context.Context, from Rows, verify VerifyChain) []Check {
	l := defaultLimits()
	return append(checkRowsWithin(ctx, from, l), checkMemberChains(ctx, from, verify, l))
}

func checkRowsWithin(ctx context.Context, from Rows, l limits) []Check {
	refs := references{rooms: map[core.RoomID]bool{}, users: map[core.UserID]bool{}, wantRooms: map[core.RoomID]rowName{}, wantUsers: map[core.UserID]rowName{}}
	read := Check{Name: checkRead, State: OK}
	err := from.ExportRows(ctx, func(r core.Row) error {
		refs.rows++
		if err := refs.add(r); err != nil {
			read.add(Fault{Bucket: r.Table.Bucket(), Key: r.Key, Text: core.AsError(err).Text})
		}
		return nil
	})
	if err != nil {
		read = unreadable(err)
		return []Check{read}
	}
	read.Text = fmt.Sprintf("%d rows can be read, and %d cannot", refs.rows-read.count(), read.count())
	if read.State == Wrong {
		read.Means, read.Next = "unibus denies the access that such a row gives", "look at the row with the nats CLI; a backup from before has it: unibusd restore --help"
	}
	return []Check{read, refs.checkRooms(), refs.checkUsers(), checkIndexRows(ctx, from, l)}
}

// unreadable is a reading that ended: damage, or a bucket that is away.
func unreadable(err error) Check {
	c := unknown(checkRead, err)
	if core.KindOf(err) == core.KindFailed {
		c.State, c.Text, c.Means = Wrong, core.AsError(err).Text, "no backup can be made of it as it is"
	}
	return c
}

// rowName is where a reference was found.
type rowName struct {
	bucket, key string
}

// references are the rooms and users that there are, and those that rows refer to, each
// with one row that does. An export yields what is referred to after what refers to it.
type references struct {
	rows      int
	rooms     map[core.RoomID]bool
	users     map[core.UserID]bool
	wantRooms map[core.RoomID]rowName
	wantUsers map[core.UserID]rowName
}

func (r *references) add(row core.Row) error {
	at := rowName{row.Table.Bucket(), row.Key}
	switch row.Table {
	case core.TableUsers:
		u, err := core.DecodeUser(row)
		r.users[u.ID] = err == nil || r.users[u.ID]
		return err
	case core.TableRooms:
		room, err := core.DecodeRoom(row)
		if err != nil {
			return err
		}
		r.rooms[room.ID], r.wantUsers[room.Owner] = true, at
	case core.TableMembers:
		m, err := core.DecodeMember(row)
		if err != nil {
			return err
		}
		r.wantRooms[m.Room], r.wantUsers[m.User] = at, at
	case core.TableRoomKeys:
		key, record, err := core.DecodeKey(row)
		switch {
		case err != nil:
			return err
		case record != nil:
			r.wantRooms[record.Room] = at
		default:
			r.wantRooms[key.Room], r.wantUsers[key.User] = at, at
		}
	}
	return nil
}

func (r *references) checkRooms() Check {
	return checkReferences(checkRooms, "room", r.wantRooms, r.rooms, "members and keys of a room that is missing are of no use")
}

func (r *references) checkUsers() Check {
	return checkReferences(checkUsers, "user", r.wantUsers, r.users, "a user who is missing cannot connect, and is shown without a name")
}

// checkReferences checks that each id that a row names exists.
func checkReferences[ID ~string](name, what string, wanted map[ID]rowName, exists map[ID]bool, means string) Check {
	c := Check{Name: name, State: OK, Text: fmt.Sprintf("every one of %d %ss that a row names exists", len(wanted), what)}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if at := wanted[id]; !exists[id] {
			c.add(Fault{Bucket: at.bucket, Key: at.key, Text: "there is no " + what + " " + string(id)})
		}
	}
	if c.State == Wrong {
		c.Text, c.Means = fmt.Sprintf("rows name %d %ss that do not exist", c.count(), what), means
		c.Next = "a node may have lost rows on its disk: look at the checks of the replicas first; else a backup has them: unibusd restore --help"
	}
	return c
}

// checkIndexRows compares the derived index with the members. A member is written before
// its entry, so that differences are looked for again; one that stays is a fault.
func checkIndexRows(ctx context.Context, from Rows, l limits) Check {
	var stays map[string]string
	for try := range l.reads {
		found, rows, err := indexFaults(ctx, from)
		switch {
		case err != nil:
			return unknown(checkIndex, err)
		case len(found) == 0:
			return Check{Name: checkIndex, State: OK, Text: fmt.Sprintf("the index has an entry for each of %d members, and no other", rows)}
		case try == 0:
			stays = found
		}
		maps.DeleteFunc(stays, func(key, text string) bool { return found[key] != text })
		if !sleep(ctx, l.pause) {
			return unknown(checkIndex, ctx.Err())
		}
	}
	c := Check{Name: checkIndex, State: OK, Text: "every difference was a row on its way"}
	for _, key := range slices.Sorted(maps.Keys(stays)) {
		c.add(Fault{Bucket: core.TableRoomsByMember.Bucket(), Key: key, Text: stays[key]})
	}
	if c.State == Wrong {
		c.Text = fmt.Sprintf("the index of rooms by member is wrong in %d entries", c.count())
		c.Means = "the index is derived, and decides nothing yet"
		c.Next = "the nodes correct it within ten minutes; check again after that: unibusd doctor"
	}
	return c
}

// indexFaults are the entries that are missing, wrong or too many, by key.
func indexFaults(ctx context.Context, from Rows) (faults map[string]string, members int, err error) {
	want := map[string]core.Row{}
	for r, err := range from.Keys(ctx, core.TableMembers) {
		if err != nil {
			return nil, 0, err
		}
		if m, err := core.DecodeMember(r); err == nil { // another check names it
			entry := core.IndexRow(m)
			want[entry.Key] = entry
		}
	}
	members, faults = len(want), map[string]string{}
	for r, err := range from.Keys(ctx, core.TableRoomsByMember) {
		if err != nil {
			return nil, 0, err
		}
		entry, known := want[r.Key]
		switch {
		case !known:
			faults[r.Key] = "there is no such member"
		case string(entry.Value) != string(r.Value):
			faults[r.Key] = "the member has another state"
		}
		delete(want, r.Key)
	}
	for key := range want {
		faults[key] = "the entry is missing"
	}
	return faults, members, nil
}
