package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// rekeyRefusal is why no member can be asked to rekey a room; nil where one can.
// can lists the members who could, the best choice first.
func rekeyRefusal(o roomState, k RoomKeys, can []RoomPerson) *core.Error {
	id := o.Room.ID
	switch {
	case k.State == KeysArchived:
		return core.ErrArchived(id)
	case k.State == KeysPlain:
		return core.Errorf(core.KindRefused, "the room %s is not encrypted: it has no key", id)
	case k.State != KeysRekey:
		return core.Errorf(core.KindRefused, "the room %s needs no new key: only active members know the present one", id)
	case len(can) == 0:
		return core.Errorf(core.KindRefused, "no active member of the room %s has the current key, so no new key can be made", id).
			WithNext("its owner or a user-admin can archive it, by their own program; go on in another room")
	case k.Online > 0:
		return nil
	case len(k.Silent) > 0:
		return core.Errorf(core.KindUnavailable, "no online member of the room %s can create a new key, as far as is known: %s did not say",
			id, strings.Join(k.Silent, ", ")).WithNext("ask again once every node answers")
	}
	return core.Errorf(core.KindRefused, "no online member of the room %s can create a new key", id).
		WithNext("ask again once one of these has opened the room: %s", shortNameList(can))
}

// shortNameList is the first few people by name.
func shortNameList(people []RoomPerson) string {
	const few = 3
	var names []string
	for _, p := range people[:min(few, len(people))] {
		names = append(names, p.Called())
	}
	if n := len(people) - few; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// Called is the person's name, else the short id.
func (p RoomPerson) Called() string { return displayName(p.Name, p.User) }

// Called is the name of the member who was asked, else the short id.
func (a Asked) Called() string { return displayName(a.Name, a.User) }

func displayName(name *string, id core.UserID) string {
	if name != nil && strings.TrimSpace(*name) != "" {
		return core.ShownName(*name)
	}
	return id.Short()
}

// roomRekey asks a member for a new key. The node knows no key and can make
// none: it only announces in the room which member is asked.
func (s *Service) roomRekey(ctx context.Context, op core.Operator, req RekeyRequest) (any, error) {
	_, o, err := s.openNamed(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	id := o.Room.ID
	k := RoomKeys{KeyHealth: healthOf(o.RoomKeys, o.active)}
	var can []RoomPerson
	if k.sealed() {
		can, k.Silent = s.canRekey(ctx, o)
	}
	if len(can) > 0 {
		k.Online = min(1, len(can[0].Nodes))
	}
	if e := rekeyRefusal(o, k, can); e != nil {
		return nil, e
	}
	p, err := chooseMember(o, can, k.Silent, req.User)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Bus.Ask(id, o.Room.Epoch, p.User); err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("asked %s for a new key of the room %s", p.User.Short(), id))
	return Asked{Room: id, Epoch: o.Room.Epoch, User: p.User, Name: p.Name, Nodes: p.Nodes, At: s.cfg.Now()}, nil
}

// chooseMember is the member who is asked: the one that is named, else the first.
func chooseMember(o roomState, can []RoomPerson, silent []string, user string) (RoomPerson, error) {
	if user == "" {
		return can[0], nil
	}
	id, err := core.ParseUserID(user)
	if err != nil {
		return RoomPerson{}, err
	}
	i := slices.IndexFunc(can, func(p RoomPerson) bool { return p.User == id })
	switch {
	case i < 0:
		return RoomPerson{}, core.Errorf(core.KindRefused, "%s cannot make a new key for the room %s: it takes an active member who has the current one", id.Short(), o.Room.ID).
			WithNext("leave the choice to the node, or see `unibusd room get %s`", o.Room.ID)
	case len(can[i].Nodes) == 0 && len(silent) > 0:
		return RoomPerson{}, core.Errorf(core.KindUnavailable, "it is not known whether %s has the room open: %s did not say", can[i].Called(), strings.Join(silent, ", ")).
			WithNext("ask again once every node answers, or leave the choice to the node")
	case len(can[i].Nodes) == 0:
		return RoomPerson{}, core.Errorf(core.KindRefused, "%s does not have the room open", can[i].Called()).
			WithNext("leave the choice to the node: another member has it open")
	}
	return can[i], nil
}
