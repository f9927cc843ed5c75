package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// replaceRequest names a user and the key that takes its place.
type replaceRequest struct {
	ID string `json:"id"`
	To string `json:"to"`
}

// Replaced is a user whose place another key has taken.
type Replaced struct {
	Revoked               // the old key
	New     core.User     `json:"new"`
	Moved   []core.RoomID `json:"moved"`   // rooms in which the new key is a member now
	Kept    []core.RoomID `json:"kept"`    // encrypted and archived rooms, which stay the old key's: see isMovable
	Confirm []KeptRoom    `json:"confirm"` // the encrypted ones of them, and who can bring the new key in; nil where that is not known
}

// userReplace moves rooms, memberships and roles to another key, and revokes the old
// one. Encrypted rooms stay: see isMovable. After an error the same request completes it.
func (s *Service) userReplace(ctx context.Context, op core.Operator, req replaceRequest) (any, error) {
	st, from, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	to, err := core.ParseUserID(req.To)
	if err != nil {
		return nil, err
	}
	if s.isOperator(ctx, to) {
		return nil, core.Errorf(core.KindRefused, "%s is the key of an operator, or was one", to.Short()).
			WithNext("make a key for the user: unibusd keygen user --out FILE")
	}
	r := replacement{store: st, now: s.cfg.Now()}
	if err := r.check(ctx, from, to); err != nil {
		return nil, core.ReadError(err)
	}
	out := Replaced{Moved: []core.RoomID{}, Kept: []core.RoomID{}}
	if out.User, err = r.revoke(ctx); err != nil {
		return nil, err
	}
	s.cfg.Bus.UserChanged(ctx, st, out.User)
	out.Nodes = s.cfg.Sessions.End(ctx, out.User)
	if err := r.move(ctx, &out); err != nil {
		return nil, core.Errorf(core.KindOf(err), "%s%s%s has not all of its rooms yet: %w", from.Short(), isRevokedAnd, to.Short(), err).
			WithNext("run the same command again, which completes it: unibusd user replace %s %s", from, to)
	}
	if out.Rekey, err = st.RoomsOpenedBy(ctx, from); err != nil {
		out.Note = "which rooms need a new key is not known: " + err.Error()
	}
	if out.Confirm, err = r.confirmations(ctx); err != nil {
		out.Confirm = nil // not: there is none
		out.Note = strings.TrimPrefix(out.Note+"; unibus does not know who can invite the new key to the encrypted rooms: "+err.Error(), "; ")
	}
	s.cfg.Bus.UserChanged(ctx, st, out.New)
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("replaced user %s by %s in %s: %s", from.Short(), to.Short(), roomCount(len(out.Moved)), endedText(out.Nodes)))
	return out, nil
}

// isRevokedAnd is in the error of a replacement that has revoked the old key: see Denials.
const isRevokedAnd = " is revoked, and "

// isOperator is true for a key that any node has as an operator, in force or removed.
func (s *Service) isOperator(ctx context.Context, id core.UserID) bool {
	if _, ok := s.cfg.Operator(string(id)); ok {
		return true
	}
	seen := cluster.OperatorsOf(s.cfg.Cluster.View(ctx))
	return slices.ContainsFunc(seen.Operators, func(o cluster.OperatorSeen) bool { return o.Key == string(id) }) ||
		slices.ContainsFunc(seen.Removed, func(o cluster.RemovedSeen) bool { return o.Key == string(id) })
}

// replacement is one replacement under way. The order of its writes makes each one
// harmless to repeat: the old key is revoked, the new key is added, it joins each room
// and owns it, and only then the old key leaves the rooms. So both keys are never
// admitted with the same rooms, and the rooms of the old key say what is left to do.
type replacement struct {
	store     core.Store
	now       core.Millis
	from, to  core.User
	exists    bool          // the new key is a user already
	rooms     []core.RoomID // movable ones of the old key, as a member or as the owner
	keptRooms []core.RoomID // its others, which stay as they are
}

// check refuses what must not be moved, before anything is written. While the old key is
// active nothing was begun, and the new key may have no room. If it is revoked, an
// earlier try may have been cut short. Then the new key has only rooms of the old one,
// or it has them all and the old key still has to leave some.
func (r *replacement) check(ctx context.Context, from, to core.UserID) (err error) {
	if from == to {
		return core.Errorf(core.KindInvalid, "both keys are %s", from.Short()).WithNext("name the old key, then the new one")
	}
	if r.from, err = r.store.User(ctx, from); err != nil {
		return err
	}
	if r.from.Expired(r.now) {
		return core.Errorf(core.KindRefused, "the old key %s has ended, and so would the new one", from.Short()).
			WithNext("give it more time first: unibusd user extend %s --expires 90d", from)
	}
	if r.rooms, r.keptRooms, err = roomsWith(ctx, r.store, from); err != nil {
		return err
	}
	r.to, err = r.store.User(ctx, to)
	if core.KindOf(err) == core.KindNotFound {
		r.to = core.User{ID: to, Name: r.from.Name, Role: r.from.Role, Status: core.UserActive, Created: r.now, Updated: r.now, Expires: r.from.Expires}
		return nil
	}
	if err != nil {
		return err
	}
	r.exists = true
	return r.checkNew(ctx)
}

// checkNew checks a new key that is a user already.
func (r *replacement) checkNew(ctx context.Context) error {
	another := func(format string, args ...any) error {
		return core.Errorf(core.KindRefused, format, args...).WithNext("make another key, which need not be added first: unibusd keygen user --out FILE")
	}
	if status := r.to.StatusAt(r.now); status != core.UserActive {
		return another("the new key %s is %s", r.to.ID.Short(), status)
	}
	if end := r.from.Expires; end != 0 && (r.to.Expires == 0 || r.to.Expires > end) {
		// To shorten it here would be an end that no record of the audit has: see Denials.
		return core.Errorf(core.KindRefused, "the new key %s would be admitted longer than the old one", r.to.ID.Short()).
			WithNext("give it the end of the old one first: unibusd user extend %s --expires %s", r.to.ID, end.Time().UTC().Format(time.RFC3339))
	}
	if r.to.Role != r.from.Role {
		return another("the new key %s is a user with the role %s, and the old one has the role %s", r.to.ID.Short(), r.to.Role, r.from.Role)
	}
	own, others, err := roomsWith(ctx, r.store, r.to.ID)
	if err != nil || len(own)+len(others) == 0 {
		return err
	}
	if r.from.Status == core.UserActive && len(own) == 0 {
		if brought, err := r.isInvitedByOldKey(ctx, others); err != nil || brought {
			return err
		}
	}
	within := func(some, all []core.RoomID) bool {
		return !slices.ContainsFunc(some, func(id core.RoomID) bool { return !slices.Contains(all, id) })
	}
	if r.from.Status == core.UserRevoked && (within(own, r.rooms) || within(r.rooms, own)) {
		return nil
	}
	return another("the new key %s has rooms of its own already, %s among them: one key would have the rights of two", r.to.ID.Short(), append(own, others...)[0])
}

// roomsWith are the rooms of which a user is a member or the owner, in order. It reads no
// others: a store may hold a hundred thousand.
func roomsWith(ctx context.Context, st core.Store, id core.UserID) (movable, others []core.RoomID, err error) {
	rooms, err := ownedRooms(ctx, st, id)
	if err != nil {
		return nil, nil, err
	}
	owned := map[core.RoomID]bool{}
	for _, r := range rooms {
		owned[r.ID] = true
	}
	member, err := st.RoomsOf(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	member = slices.DeleteFunc(member, func(m core.RoomID) bool { return owned[m] })
	more, err := core.ReadRooms(ctx, st, member)
	if err != nil {
		return nil, nil, err
	}
	rooms = append(rooms, more...)
	slices.SortFunc(rooms, func(a, b core.Room) int { return cmp.Compare(a.ID, b.ID) })
	for _, room := range rooms {
		if isMovable(room) {
			movable = append(movable, room.ID)
		} else {
			others = append(others, room.ID)
		}
	}
	return movable, others, nil
}

// ownedRooms are the rooms that a user owns, a member of them or not.
func ownedRooms(ctx context.Context, st core.Store, id core.UserID) (rooms []core.Room, err error) {
	ask := core.RoomPageRequest{RoomQuery: core.RoomQuery{Owner: id}}
	for {
		page, err := st.RoomPage(ctx, ask, nil)
		if err != nil {
			return nil, err
		}
		rooms = append(rooms, page.Rooms...)
		if page.Next == "" {
			return rooms, nil
		}
		ask.After = page.Next
	}
}

// isMovable is false for an archived room, which cannot be changed, and for an encrypted
// one. The members' programs would give an encrypted room's key to the new key, and an
// operator cannot bring a user into such a room. There an owner or admin invites the new
// key: see KeptRoom.
func isMovable(room core.Room) bool { return room.State == core.RoomActive && !room.Encrypted }

// revoke denies the old key. One that is revoked already stays as it is.
func (r *replacement) revoke(ctx context.Context) (core.User, error) {
	if r.from.Status == core.UserRevoked {
		return r.from, nil
	}
	return r.store.SetUserStatus(ctx, r.from.ID, core.UserRevoked, r.now)
}

// move adds the new key and gives it the rooms, and then takes them from the old one.
func (r *replacement) move(ctx context.Context, out *Replaced) (err error) {
	if out.New = r.to; !r.exists {
		if err := r.store.AddUser(ctx, r.to); err != nil {
			return err
		}
	}
	for _, id := range r.rooms {
		if err := r.moveRoom(ctx, id); err != nil {
			return err
		}
	}
	out.Moved, out.Kept = append(out.Moved, r.rooms...), append(out.Kept, r.keptRooms...)
	for _, id := range r.rooms {
		if _, err := r.store.RemoveMember(ctx, id, r.from.ID); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
	}
	return nil
}

// moveRoom makes the new key a member in the role that the old one has, and the owner
// after that.
func (r *replacement) moveRoom(ctx context.Context, id core.RoomID) error {
	room, err := r.store.Room(ctx, id)
	if err != nil {
		return err
	}
	switch old, err := r.store.Member(ctx, id, r.from.ID); {
	case err == nil:
		if err := r.addNewKey(ctx, room, old); err != nil {
			return err
		}
	case core.KindOf(err) != core.KindNotFound: // an owner need not be a member
		return err
	}
	if room.Owner != r.from.ID {
		return nil
	}
	_, err = r.store.UpdateRoom(ctx, id, core.RoomChange{Owner: r.to.ID, IfOwner: r.from.ID})
	return err
}

// enterTries bounds how often a place is given again that was changed meanwhile.
const enterTries = 3

// addNewKey gives the new key the membership of the old one. Another request may change
// or remove that membership at this moment, so it is read again afterward.
func (r *replacement) addNewKey(ctx context.Context, room core.Room, old core.Member) error {
	for range enterTries {
		if err := r.put(ctx, room, old); err != nil {
			return err
		}
		now, err := r.store.Member(core.AsOf(ctx, time.Now()), room.ID, r.from.ID)
		switch {
		case core.KindOf(err) == core.KindNotFound:
			return r.removeNewKey(ctx, room.ID)
		case err != nil || now.Role == old.Role:
			return err
		}
		old = now
	}
	return r.removeNewKey(ctx, room.ID)
}

func (r *replacement) put(ctx context.Context, room core.Room, old core.Member) error {
	role := roleIn(room, old)
	if room.Owner == r.to.ID { // an earlier try came so far
		role = core.MemberOwner
	}
	if now, err := r.store.Member(ctx, room.ID, r.to.ID); err == nil && now.Role == role {
		return nil
	}
	by := string(r.from.ID)
	return r.store.PutMember(ctx, core.Member{Room: room.ID, User: r.to.ID, Role: role, State: core.MemberActive, InvitedBy: &by, Joined: r.now})
}

// removeNewKey removes the new key again where the old key is no member any more. KindConflict.
func (r *replacement) removeNewKey(ctx context.Context, room core.RoomID) error {
	if _, err := r.store.RemoveMember(ctx, room, r.to.ID); err != nil && core.KindOf(err) != core.KindNotFound {
		return err
	}
	return core.Errorf(core.KindConflict, "the place of %s in the room %s was changed meanwhile", r.from.ID.Short(), room)
}
