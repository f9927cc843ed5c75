package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/store/storetest"
)

func strangerID(t testing.TB) core.UserID { return storetest.NewUserID(t) }

// TestRules is the whole table of who may what, written a second time: by
// standing (outside, member, admin, owner), for users and for user-admins.
func TestRules(t *testing.T) {
	t.Parallel()
	want := map[Method]string{
		MethodIdentify: "yyyy yyyy", MethodRoomCreate: "yyyy yyyy", MethodRooms: "yyyy yyyy", MethodKEMKey: "yyyy yyyy", MethodUserGet: "yyyy yyyy",
		MethodAccept: "yyyy yyyy", MethodDecline: "yyyy yyyy", MethodInvitations: "yyyy yyyy",
		MethodRoomGet: "-yyy yyyy", MethodMembers: "-yyy yyyy",
		MethodRoomRename: "--yy yyyy", MethodInvite: "--yy yyyy", MethodRemove: "--yy yyyy",
		MethodRoomArchive: "---y yyyy", MethodRole: "---y yyyy",
		MethodLeave: "-yyy -yyy", MethodKey: "-yyy -yyy", MethodEpochs: "-yyy -yyy", MethodBox: "-yyy -yyy",
		MethodRekeyPart: "-yyy -yyy", MethodRekeyCommit: "-yyy -yyy",
		MethodUserAdd: "---- yyyy", MethodUserRevoke: "---- yyyy", MethodUserActivate: "---- yyyy",
	}
	if len(want) != len(Rules()) {
		t.Errorf("%d methods are checked, there are %d", len(want), len(Rules()))
	}
	for m, rule := range Rules() {
		var got strings.Builder
		for _, userAdmin := range []bool{false, true} {
			for s := Outside; s <= AsOwner; s++ {
				got.WriteByte("-y"[map[bool]int{true: 1}[rule.allows(s, userAdmin)]])
			}
			got.WriteByte(' ')
		}
		if g := strings.TrimSpace(got.String()); g != want[m] {
			t.Errorf("%s: %s, want %s", m, g, want[m])
		}
	}
	touch := ""
	for s := Outside; s <= AsOwner; s++ {
		for _, role := range []core.MemberRole{core.MemberMember, core.MemberAdmin, core.MemberOwner} {
			touch += fmt.Sprint(map[bool]int{true: 1}[mayTouch(s, false, role)])
		}
	}
	if touch != "000000100110" || mayTouch(Outside, true, core.MemberOwner) || !mayTouch(Outside, true, core.MemberAdmin) {
		t.Errorf("who may touch whom: %s", touch)
	}
}

// TestUserAdminInAnEncryptedRoom is what is left of a user-admin's right there,
// written a second time: what reads the list of members and what takes away.
func TestUserAdminInAnEncryptedRoom(t *testing.T) {
	t.Parallel()
	var left, lost []Method
	for m, rule := range Rules() {
		switch a := (actor{user: core.User{Role: core.RoleAdmin}, room: core.Room{Encrypted: true}, rule: rule}); {
		case !rule.UserAdmin || !rule.inRoom():
		case rule.allows(Outside, a.userAdmin()):
			left = append(left, m)
		default:
			lost = append(lost, m)
		}
	}
	slices.Sort(left)
	slices.Sort(lost)
	if d := cmp.Diff([]Method{MethodMembers, MethodRemove, MethodRoomArchive, MethodRoomGet, MethodRoomRename}, left); d != "" {
		t.Errorf("left:\n%s", d)
	}
	if d := cmp.Diff([]Method{MethodInvite, MethodRole}, lost); d != "" {
		t.Errorf("lost:\n%s", d)
	}
}

// TestBadInputs: each a typed error, and nothing is changed.
func TestBadInputs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.room(t, true)
	revoked := w.addUser(t, "")
	if _, err := w.store.SetUserStatus(t.Context(), revoked, core.UserRevoked, 1); err != nil {
		t.Fatal(err)
	}
	// The first half of making a room, as a try that was stopped leaves it.
	if err := w.store.CreateRoom(t.Context(), core.Room{ID: "half", Owner: w.owner, State: core.RoomActive, Created: 1}); err != nil {
		t.Fatal(err)
	}
	before, err := w.store.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name, long := "name", strings.Repeat("é", core.MaxName/2+1)
	big := make([]byte, MaxBox+1)
	for _, c := range []struct {
		what string
		by   core.UserID
		m    Method
		req  any
		want core.Kind
	}{
		{"wildcard", w.owner, MethodRoomCreate, CreateRequest{ID: "a.*"}, core.KindInvalid},
		{"dot", w.owner, MethodRoomCreate, CreateRequest{ID: "a.b"}, core.KindInvalid},
		{"space", w.owner, MethodRoomCreate, CreateRequest{ID: "a b"}, core.KindInvalid},
		{"mechanism's", w.owner, MethodRoomCreate, CreateRequest{ID: "_authority"}, core.KindInvalid},
		{"long id", w.owner, MethodRoomCreate, CreateRequest{ID: strings.Repeat("a", 65)}, core.KindInvalid},
		{"long name", w.owner, MethodRoomCreate, CreateRequest{ID: "ok", Name: &long}, core.KindInvalid},
		{"taken", w.other, MethodRoomCreate, CreateRequest{ID: room, Name: &name}, core.KindExists},
		{"half made, of the other kind", w.owner, MethodRoomCreate, CreateRequest{ID: "half", Encrypted: true}, core.KindExists},
		{"unknown field", w.owner, MethodRoomRename, map[string]any{"room": room, "name": "x", "owner": "me"}, core.KindInvalid},
		{"other room", w.other, MethodRoomRename, RenameRequest{room, "x"}, core.KindRefused},
		{"no room", w.other, MethodRoomRename, RenameRequest{"none", "x"}, core.KindRefused},
		{"no room, user-admin", w.admin, MethodRoomRename, RenameRequest{"none", "x"}, core.KindNotFound},
		{"invite of no id", w.owner, MethodInvite, InviteRequest{Room: room, User: "U*"}, core.KindInvalid},
		{"invite of a stranger", w.owner, MethodInvite, InviteRequest{Room: room, User: string(strangerID(t))}, core.KindNotFound},
		{"invite of a revoked one", w.owner, MethodInvite, InviteRequest{Room: room, User: string(revoked)}, core.KindRefused},
		{"invite of a member", w.owner, MethodInvite, InviteRequest{Room: room, User: string(w.member)}, core.KindExists},
		{"invite as owner", w.owner, MethodInvite, InviteRequest{Room: room, User: string(w.other), Role: core.MemberOwner}, core.KindInvalid},
		{"a large proof", w.owner, MethodInvite, InviteRequest{Room: room, User: string(w.other), Proof: big}, core.KindInvalid},
		{"the owner leaves", w.owner, MethodLeave, RoomRequest{room}, core.KindRefused},
		{"the owner is removed", w.admin, MethodRemove, MemberRequest{room, string(w.owner)}, core.KindRefused},
		{"a member removes", w.member, MethodRemove, MemberRequest{room, string(w.owner)}, core.KindRefused},
		{"an unknown role", w.owner, MethodRole, RoleRequest{room, string(w.member), "king"}, core.KindInvalid},
		{"an empty key", w.owner, MethodKEMKey, KEMKeyRequest{}, core.KindInvalid},
		{"a large key", w.owner, MethodKEMKey, KEMKeyRequest{make([]byte, MaxKEMKey+1)}, core.KindInvalid},
		{"a large box", w.owner, MethodRekeyPart, RekeyPart{Room: room, Rec: rec1, Boxes: []Box{{string(w.owner), big}}}, core.KindInvalid},
		{"a large part", w.owner, MethodRekeyPart, RekeyPart{Room: room, Rec: rec1, Boxes: manyBoxes(w.owner, 33)}, core.KindInvalid},
		{"a rec with a dot", w.owner, MethodRekeyPart, RekeyPart{Room: room, Rec: "00000000.0000001", Boxes: []Box{{string(w.owner), []byte{1}}}}, core.KindInvalid},
		{"a box for no member", w.owner, MethodRekeyPart, RekeyPart{Room: room, Rec: rec1, Boxes: []Box{{string(w.other), []byte{1}}}}, core.KindConflict},
		{"a box for a stranger", w.owner, MethodBox, BoxRequest{Box: Box{string(strangerID(t)), []byte{1}}, Room: room, Rec: "0"}, core.KindNotFound},
		{"a box of a future epoch", w.owner, MethodBox, BoxRequest{Box: Box{string(w.member), []byte{1}}, Room: room, Epoch: 9, Rec: "0"}, core.KindConflict},
		{"a commit without boxes", w.owner, MethodRekeyCommit, RekeyCommit{Room: room, Rec: rec1, Boxes: 1, Record: []byte{1}}, core.KindConflict},
		{"a future epoch's key", w.owner, MethodKey, KeyRequest{room, 7}, core.KindNotFound},
		{"who is revoked", revoked, MethodRooms, request.Page{}, core.KindRefused},
		{"a stranger", strangerID(t), MethodRooms, request.Page{}, core.KindRefused},
		{"user-admin's work", w.owner, MethodUserAdd, AddUserRequest{User: string(strangerID(t))}, core.KindRefused},
		{"an unknown role of users", w.admin, MethodUserAdd, AddUserRequest{User: string(strangerID(t)), Role: "king"}, core.KindInvalid},
	} {
		_, err := w.do(c.by, c.m, c.req)
		wantKind(t, c.what, err, c.want)
	}
	after, err := w.store.Export(t.Context())
	if d := cmp.Diff(before, after); err != nil || d != "" {
		t.Errorf("refused requests changed something (%v):\n%s", err, d)
	}
}

func manyBoxes(user core.UserID, n int) (boxes []Box) {
	for range n {
		boxes = append(boxes, Box{string(user), make([]byte, MaxBox)})
	}
	return boxes
}

// FuzzDecode: no request breaks the decoder, and what it takes is of this version and UTF-8.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"v":1,"req":{"room":"a","user":"U"}}`, `{"v":2}`, `{"v":1}{}`, `{"v":1,"req":[]}`, "", "\xff", `{"v":1,"req":{"room":"\ud800"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decode[InviteRequest](body)
		if err != nil && core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q: %v", body, err)
		}
		if err == nil && !strings.Contains(string(body), "1") {
			t.Errorf("%q was taken as %+v", body, req)
		}
	})
}
