package guide

import (
	"testing"

	"unibus/core"
)

// lostUser is bob, whose key is lost; each change goes on from there.
func lostUser(changes ...func(*UserKey)) func(*Facts) {
	return func(f *Facts) {
		name := "bob"
		k := &UserKey{UserKey: core.UserKey{
			User:    core.User{ID: "UBOB", Name: &name, Role: core.RoleMember, Status: core.UserActive},
			Rekey:   []core.RoomID{"plans"},
			Movable: []core.RoomID{"lobby"}, Encrypted: []core.RoomID{"plans"},
		}}
		for _, c := range changes {
			c(k)
		}
		f.Args, f.UserKey = []string{"UBOB"}, k
		for i := range f.Nodes {
			f.Nodes[i].Info.BusAuth = core.BusAuthEnforce
		}
	}
}

func revokedUser(k *UserKey) {
	k.User.Status = core.UserRevoked
	k.Sessions = map[string]core.KeyEnding{"n1": {}, "n2": {Ended: 2}, "n3": {}}
}

func rekeyedRooms(k *UserKey) { k.Rekey = nil }

func replacedUser(k *UserKey) {
	k.Movable, k.Successors = nil, []core.User{{ID: "UBOBTWO", Name: k.User.Name, Role: k.User.Role}}
}

func userKeyCases() []guideCase {
	const g = "user-key-lost"
	return []guideCase{
		{g, "the key is in use", lostUser(), HasNext, "Next: Revoke bob (UBOB)."},
		{g, "it is revoked", lostUser(revokedUser), HasNext, "Next: Every encrypted room has a key that the lost one does not open."},
		{g, "a node did not answer", lostUser(revokedUser, func(k *UserKey) { k.Sessions["n2"] = core.KeyEnding{Fault: "it did not say in time"} }), HasNext, "Wait: n2: it did not say in time."},
		{g, "a node is not asked", lostUser(revokedUser, func(k *UserKey) { delete(k.Sessions, "n3") }), HasNext, "Wait: n3 was not asked."},
		{g, "a node admits everybody", all(lostUser(revokedUser), func(f *Facts) { f.Nodes[1].Info.BusAuth = core.BusAuthSoft }), HasNext, "Next: No node has a session of the key."},
		{g, "many rooms need a new key", lostUser(revokedUser, func(k *UserKey) {
			for _, c := range "abcdefghijkl" {
				k.Rekey = append(k.Rekey, core.RoomID(c))
			}
		}), HasNext, "Next: Every encrypted room"},
		{g, "the rooms have new keys", lostUser(revokedUser, rekeyedRooms), HasNext, "Next: Give the person a new key."},
		{g, "a new user, and the rooms are the old one's", lostUser(revokedUser, rekeyedRooms, replacedUser, func(k *UserKey) { k.Movable = []core.RoomID{"lobby"} }), HasNext, "Next: Give the person a new key."},
		{g, "no rooms, and no new user", lostUser(revokedUser, rekeyedRooms, func(k *UserKey) { k.Movable = nil }), HasNext, "Next: Give the person a new key."},
		{g, "all is done", lostUser(revokedUser, rekeyedRooms, replacedUser), AllDone, "bob (UBOB) is revoked, no node has a session of it"},
		{g, "all is done, of a user-admin", lostUser(revokedUser, rekeyedRooms, replacedUser, func(k *UserKey) { k.User.Role = core.RoleAdmin }), AllDone, "unibusd audit --since 7d --user-admin UBOB"},
		{g, "a node alone", all(lostUser(revokedUser, rekeyedRooms, replacedUser, func(k *UserKey) { k.Sessions = map[string]core.KeyEnding{"n1": {}} }), func(f *Facts) {
			f.Clustered, f.Nodes = false, f.Nodes[:1]
		}), AllDone, "bob (UBOB) is revoked"},
		{g, "it cannot be read", all(lostUser(), func(f *Facts) {
			f.UserKey = UserKeyOf(core.UserKey{}, core.Errorf(core.KindUnavailable, "there is no quorum"))
		}), HasNext, "Wait: there is no quorum."},
		{g, "it was not read yet", all(lostUser(), func(f *Facts) { f.UserKey = nil }), HasNext, "Wait: the user was not read yet."},
		{g, "no user", all(lostUser(), func(f *Facts) {
			f.UserKey = UserKeyOf(core.UserKey{}, core.Errorf(core.KindNotFound, "there is no user UBOB"))
		}), NotApplicable, "there is no user UBOB."},
		{g, "the key of an operator", all(lostUser(), operators(true), func(f *Facts) { f.Args = []string{"UANA"} }), NotApplicable, "the key is that of an operator; see unibusd guide operator-key-lost UANA."},
	}
}

// TestUserKeyOfAnError: after an error that can pass by itself, the guide waits.
func TestUserKeyOfAnError(t *testing.T) {
	t.Parallel()
	for kind, waits := range map[core.Kind]bool{core.KindUnavailable: true, core.KindFailed: true, core.KindNotFound: false, core.KindInvalid: false} {
		if k := UserKeyOf(core.UserKey{}, core.Errorf(kind, "x")); waits != (k.Fault == "x") || waits != (k.Missing == "") {
			t.Errorf("%s: %+v", kind, k)
		}
	}
	if k := UserKeyOf(core.UserKey{Rekey: []core.RoomID{"a"}}, nil); k.Fault+k.Missing != "" || len(k.Rekey) != 1 {
		t.Errorf("%+v", k)
	}
	if g, _ := Named("restart"); g.NeedsUserKey([]string{"UBOB"}) != "" {
		t.Error("another guide asks for a user")
	}
}
