package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"unibus/core"
)

// StillThere says of a room that was not moved what brings the new key into it, as far
// as it is known.
func (r Replaced) StillThere(room core.RoomID) string {
	i := slices.IndexFunc(r.Confirm, func(k KeptRoom) bool { return k.Room == room })
	switch {
	case i >= 0:
		return "is encrypted and was not moved: " + r.Confirm[i].next()
	case r.Confirm == nil:
		return "is encrypted or archived and was not moved; in an encrypted one its owner or an admin invites the new key"
	}
	return "is archived and was not moved"
}

// KeptRoom is an encrypted room that stayed the old key's. An operator cannot
// bring a key into one, and so cannot read it: a member who may invites the new key.
type KeptRoom struct {
	Room      core.RoomID      `json:"room"`
	Owned     bool             `json:"owned"`         // the old key owns it still: no operator hands an encrypted room over
	New       core.MemberState `json:"new,omitempty"` // what the new key is in the room; "": neither a member nor invited
	CanInvite []RoomPerson     `json:"can_invite"`    // active members who can invite it, the owner first; at most peopleShown
}

// confirmations says of each encrypted room that stayed who can bring the new key in.
func (r *replacement) confirmations(ctx context.Context) ([]KeptRoom, error) {
	ctx = core.AsOf(ctx, time.Now()) // one proof for all of them
	out := []KeptRoom{}
	for _, id := range r.keptRooms {
		room, err := r.store.Room(ctx, id)
		if err != nil {
			return out, err
		}
		if !room.Encrypted || room.State != core.RoomActive {
			continue
		}
		k, err := r.confirmation(ctx, room)
		if err != nil {
			return out, err
		}
		out = append(out, k)
	}
	return out, nil
}

func (r *replacement) confirmation(ctx context.Context, room core.Room) (k KeptRoom, err error) {
	k = KeptRoom{Room: room.ID, Owned: room.Owner == r.from.ID}
	members, err := r.store.Members(ctx, room.ID)
	if err != nil {
		return k, err
	}
	if slices.ContainsFunc(members, func(m core.Member) bool { return m.User == r.to.ID }) {
		k.New = core.MemberActive
	} else {
		pending, err := r.store.Invitations(ctx, core.InvitationFilter{Room: room.ID, User: r.to.ID})
		if err != nil {
			return k, err
		}
		if len(pending) > 0 {
			k.New = core.MemberInvited
		}
	}
	k.CanInvite, err = r.inviters(ctx, room, members)
	return k, err
}

// inviters are the active members who can invite to a room, the owner first.
func (r *replacement) inviters(ctx context.Context, room core.Room, members []core.Member) ([]RoomPerson, error) {
	out := []RoomPerson{}
	for _, m := range members {
		role := roleIn(room, m)
		if role == core.MemberMember || m.User == r.from.ID || m.User == r.to.ID || len(out) == peopleShown {
			continue
		}
		u, err := r.store.User(ctx, m.User)
		switch {
		case core.KindOf(err) == core.KindNotFound: // a member who is no user cannot act
		case err != nil:
			return out, err
		case u.IsActive(r.now):
			out = append(out, RoomPerson{User: u.ID, Name: u.Name, Role: role, Status: u.Status})
		}
	}
	slices.SortStableFunc(out, func(a, b RoomPerson) int {
		return cmp.Compare(roomRanks[a.Role], roomRanks[b.Role])
	})
	return out, nil
}

func (k KeptRoom) next() string {
	var say string
	switch {
	case k.New == core.MemberActive:
		say = "the new key is a member"
	case k.New == core.MemberInvited:
		say = "the new key is invited and has to accept"
	case len(k.CanInvite) == 0:
		return "no member can invite the new key; go on in a new room"
	default:
		say = "the new key has to be invited by " + shortNameList(k.CanInvite)
	}
	if k.Owned {
		say += "; the old key remains its owner"
	}
	return say
}

// isInvitedByOldKey is true where the old key itself invited the new one into each of these
// encrypted rooms: its person holds both keys, and prepared the replacement.
func (r *replacement) isInvitedByOldKey(ctx context.Context, rooms []core.RoomID) (bool, error) {
	for _, id := range rooms {
		m, err := r.store.Member(ctx, id, r.to.ID)
		if core.KindOf(err) == core.KindNotFound {
			return false, nil // an owner who is no member
		}
		if err != nil {
			return false, err
		}
		if m.InvitedBy == nil || *m.InvitedBy != string(r.from.ID) || !slices.Contains(r.keptRooms, id) {
			return false, nil
		}
	}
	return true, nil
}
