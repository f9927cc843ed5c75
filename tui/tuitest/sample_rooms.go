package tuitest

import (
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

// sampleRooms are 50 rooms with twenty members each. Some need a new key, in some a
// member has none, and one is archived. In one nobody can make a key now.
func sampleRooms(users []core.User) (rooms []admin.RoomSummary, members map[core.RoomID][]admin.RoomMember, keys map[core.RoomID]admin.RoomKeys) {
	members, keys = map[core.RoomID][]admin.RoomMember{}, map[core.RoomID]admin.RoomKeys{}
	for i := range 50 {
		id := core.RoomID(fmt.Sprintf("room-%02d", i))
		name := fmt.Sprintf("%s's %s", firstNames[i%len(firstNames)], []string{"kitchen", "lab", "office", "garden", "studio"}[i%5])
		r := core.Room{ID: id, Name: &name, Owner: users[i].ID, Encrypted: i%4 != 0, Epoch: core.Epoch(i % 4), Rec: core.LegacyRec, State: core.RoomActive, Created: ago(time.Duration(i+30) * time.Hour)}
		if i == 9 {
			r.State = core.RoomArchived
		}
		for j := range 20 {
			u := users[(i+j*7)%len(users)]
			role := core.MemberMember
			if j == 0 {
				role = core.MemberOwner
			}
			members[id] = append(members[id], admin.RoomMember{
				Member: core.Member{Room: id, User: u.ID, Role: role, State: core.MemberActive, Joined: ago(time.Duration(j+10) * time.Hour)},
				Name:   u.Name, Status: u.Status, Boxed: (j != 4 || i%3 != 1) && (u.Status == core.UserActive || i%5 == 1),
			})
		}
		keys[id] = sampleRoomKeys(r, members[id], i)
		health := keys[id].KeyHealth
		rooms = append(rooms, admin.RoomSummary{Room: r, Members: len(members[id]), Keys: &health})
	}
	return rooms, members, keys
}

// sampleRoomKeys is a room's key health. room-03 and room-11 have a removed
// member; the first three members are online at n2, except in room-11.
func sampleRoomKeys(r core.Room, members []admin.RoomMember, i int) admin.RoomKeys {
	k := admin.RoomKeys{WithoutKey: []admin.RoomPerson{}, StillKnow: []admin.RoomPerson{}, CanRekey: []admin.RoomPerson{}, Silent: []string{}}
	if r.State == core.RoomArchived || !r.Encrypted {
		k.State = admin.KeysPlain
		if r.State == core.RoomArchived {
			k.State = admin.KeysArchived
		}
		k.CannotAsk = core.Errorf(core.KindRefused, "the room %s has no key", r.ID)
		return k
	}
	k.State, k.Since = admin.KeysOK, r.Created+core.Millis(7*time.Hour/time.Millisecond)
	for j, m := range members {
		p := admin.RoomPerson{User: m.User, Name: m.Name, Role: m.Role, Status: m.Status}
		switch active := m.Status == core.UserActive; {
		case m.Boxed && active:
			if j < 3 && i != 11 {
				p.Nodes = []string{"n2"}
				k.Online++
			}
			k.CanRekey = append(k.CanRekey, p)
		case m.Boxed:
			k.StillKnow = append(k.StillKnow, p)
		case active:
			k.WithoutKey = append(k.WithoutKey, p)
		}
	}
	if name := "tove-07"; i == 3 || i == 11 {
		k.StillKnow = append(k.StillKnow, admin.RoomPerson{User: sampleUserID(159), Name: &name, Status: core.UserActive})
	}
	k.CanCount, k.Unkeyed, k.MustRekey = len(k.CanRekey), len(k.WithoutKey), len(k.StillKnow)
	switch {
	case k.MustRekey > 0 && k.Online == 0:
		k.State = admin.KeysRekey
		k.CannotAsk = core.Errorf(core.KindRefused, "no online member of the room %s can create a new key", r.ID).WithNext("ask again once one of these has opened the room: %s, %s, %s, %d more", k.CanRekey[0].Called(), k.CanRekey[1].Called(), k.CanRekey[2].Called(), len(k.CanRekey)-3)
	case k.MustRekey > 0:
		k.State = admin.KeysRekey
	default:
		if k.Unkeyed > 0 {
			k.State = admin.KeysMissing
		}
		k.CannotAsk = core.Errorf(core.KindRefused, "the room %s needs no new key: only active members know the current one", r.ID)
	}
	return k
}

// RekeyRequired is Healthy with a finding about rooms that need new keys.
func RekeyRequired() ClusterState {
	state := Healthy()
	state.Status.Findings = append(state.Status.Findings, cluster.Finding{
		Level: cluster.Note, About: "rooms", Text: "Rekey required in 8 rooms: a removed or revoked user still has the key. A member's program makes a new one once it is online.",
		Next: "look at page 5 of the console, or at `unibusd room list`; ask a member with `unibusd room rekey ROOM`",
	})
	return state
}
