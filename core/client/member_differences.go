package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// memberDifferences is how the node's list of members differs from what the members signed.
type memberDifferences struct {
	ghosts  []core.UserID // in the list, and no statement leads to them
	removed []core.UserID // not in the list, or revoked by it, and the statements lead to them
}

func (d memberDifferences) equal(other memberDifferences) bool {
	return slices.Equal(d.ghosts, other.ghosts) && slices.Equal(d.removed, other.removed)
}

func (d memberDifferences) isEmpty() bool { return len(d.ghosts)+len(d.removed) == 0 }

// both are the differences that were there at both of two looks. One alone may be a
// member who came or left between the answers of the node.
func (d memberDifferences) both(other memberDifferences) memberDifferences {
	in := func(all []core.UserID) func(core.UserID) bool {
		return func(u core.UserID) bool { return !slices.Contains(all, u) }
	}
	return memberDifferences{slices.DeleteFunc(d.ghosts, in(other.ghosts)), slices.DeleteFunc(d.removed, in(other.removed))}
}

// err names the ghosts; nil without any.
func (d memberDifferences) err(room core.RoomID) error {
	if len(d.ghosts) == 0 {
		return nil
	}
	const most = 5
	var names []string
	for _, u := range d.ghosts[:min(len(d.ghosts), most)] {
		names = append(names, string(u))
	}
	more := ""
	if n := len(d.ghosts) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	e := newSealFault(seal.ErrRight, "the node calls %s%s a member of the room %s, and no member has signed that: such a user gets no key and is not read", strings.Join(names, ", "), more, room)
	core.AsError(e).Next = "ask who of the operators put that user there; an owner or admin of the room removes it with Room.Remove"
	return e
}

// Members are the room's active members, in the order of their ids. In an encrypted room
// they are those to whom the members' own statements lead, in the roles that these give:
// the node adds names and published keys. A member whom the servers have removed without a
// statement has the state removed.
//
// If the node's list has others, the members come together with an error whose cause is
// seal.ErrRight and that names the others. In a room whose members have not signed who
// they are, the list is the node's: see Client.FoundAnew.
func (r *Room) Members(ctx context.Context) ([]control.Member, error) {
	listed, err := r.listedMembers(ctx)
	if err == nil {
		err = r.checkNames(listed)
	}
	if err != nil || !r.Encrypted() || !r.view.Load().signed {
		return listed, err
	}
	all, d, err := r.compareMembers(ctx, listed)
	if err != nil {
		return nil, err
	}
	return all, d.err(r.id)
}

// listedMembers are the members as the node lists them.
func (r *Room) listedMembers(ctx context.Context) ([]control.Member, error) {
	return sendRetrying(ctx, r.c, readOnly, func(ctx context.Context) ([]control.Member, error) { return r.c.api.Members(ctx, r.id, false) })
}

// compareMembers compares the node's list with the statements, and tells of what differs.
func (r *Room) compareMembers(ctx context.Context, listed []control.Member) ([]control.Member, memberDifferences, error) {
	all, d, err := r.signedMembers(ctx, listed)
	if err == nil && !d.isEmpty() {
		first := d
		if listed, err = r.listedMembers(ctx); err == nil {
			all, d, err = r.signedMembers(ctx, listed)
			d = d.both(first)
		}
	}
	if err != nil {
		return nil, memberDifferences{}, err
	}
	r.noteDifferences(d)
	return all, d, nil
}

// signedMembers are the members to whom the newest statements lead.
func (r *Room) signedMembers(ctx context.Context, listed []control.Member) (all []control.Member, d memberDifferences, err error) {
	if err := r.fetchStatements(ctx); err != nil {
		return nil, d, err
	}
	all, d = r.differencesOf(listed)
	return all, d, nil
}

// differencesOf are the members to whom the statements lead that were followed, and how the
// node's list differs from them. Without statements nothing differs.
func (r *Room) differencesOf(listed []control.Member) (all []control.Member, d memberDifferences) {
	var people map[core.UserID]seal.Person
	r.members.use(func(m *seal.Membership) {
		if m != nil {
			people = m.People()
		}
	})
	if people == nil {
		return nil, d
	}
	in := make(map[core.UserID]control.Member, len(listed))
	for _, m := range listed {
		if in[m.User] = m; people[m.User].Role == "" || people[m.User].Invited {
			d.ghosts = append(d.ghosts, m.User)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(people)) {
		if people[user].Invited {
			continue
		}
		m, is := in[user]
		if !is {
			m.Member = core.Member{Room: r.id, User: user, State: core.MemberRemoved}
		}
		if !is || m.Status != core.UserActive {
			d.removed = append(d.removed, user)
		}
		m.Role = people[user].Role
		all = append(all, m)
	}
	slices.Sort(d.ghosts)
	return all, d
}

// compareListed compares a list that was read for another reason, and asks the node again only
// if it differs.
func (r *Room) compareListed(ctx context.Context, listed []control.Member) error {
	if _, d := r.differencesOf(listed); d.isEmpty() {
		return nil
	}
	_, _, err := r.compareMembers(ctx, listed)
	return err
}

// listForKey reads the list by which a key is made. If it differs from the statements, it is
// read again between two reads of these: a member whom the list leaves out then gets no key,
// and is told.
func (w *reconciler) listForKey(ctx context.Context) (listed []control.Member, err error) {
	read := func() error {
		listed, err = sendRetrying(ctx, w.c, readOnly, func(ctx context.Context) ([]control.Member, error) { return w.c.api.Members(ctx, w.room.id, true) })
		return err
	}
	if err := read(); err != nil {
		return nil, err
	}
	_, d := w.room.differencesOf(listed)
	if !d.isEmpty() {
		if err := errors.Join(w.room.fetchStatements(ctx), read()); err != nil {
			return nil, err
		}
		_, d = w.room.differencesOf(listed)
		if err := w.room.fetchStatements(ctx); err != nil {
			return nil, err
		}
		_, now := w.room.differencesOf(listed)
		d = d.both(now)
	}
	w.room.noteDifferences(d)
	return listed, nil
}

// noteDifferences emits the differences, once until they change.
func (r *Room) noteDifferences(d memberDifferences) {
	changed := false
	r.do(func(l *roomLoop) {
		if changed = !d.equal(l.differences); changed {
			l.differences = d
		}
	})
	if !changed {
		return
	}
	r.c.events.emit(MembersDiffer{Room: r.id, Ghosts: d.ghosts, Removed: d.removed})
	if err := d.err(r.id); err != nil {
		r.c.log.Warn("the node's list of members contradicts what the members signed", "room", r.id, "error", err)
	}
}

// memberCount is what tells whether to compare the lists: a read of the whole list is too
// much for every change of a large room.
type memberCount struct {
	listed, signed int
	seq            uint64
}

// comparison is the last one of the whole lists.
type comparison struct {
	count memberCount
	at    time.Time
}

// smallRoom is how many members a room has at most whose lists are compared at every change.
const smallRoom = 64

// compareCounts compares the node's list with the statements if the numbers of members
// differ, and were not compared like that before. A list with a ghost in the place of a member
// has the same number: it is compared at every change of a small room, and once an hour.
func (w *reconciler) compareCounts(ctx context.Context) error {
	now := memberCount{listed: w.room.view.Load().info.Members}
	w.room.members.use(func(m *seal.Membership) {
		if m != nil {
			now.signed, now.seq = m.ActiveCount(), m.Head().Seq
		}
	})
	last := w.compared.count
	agreed := last.listed == last.signed && last.signed > smallRoom
	isSame := now == last || agreed && now.listed == now.signed
	if now.signed == 0 || isSame && time.Since(w.compared.at) < w.c.timing.compareEvery {
		return nil
	}
	listed, err := w.room.listedMembers(ctx)
	if err == nil {
		_, _, err = w.room.compareMembers(ctx, listed)
	}
	if err == nil {
		w.compared = comparison{now, time.Now()}
	}
	return err
}
