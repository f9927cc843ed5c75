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
// rank (outside, member, admin, owner), for users and for user-admins.
func TestRules(t *testing.T) {
	t.Parallel()
	want := map[Method]string{
		methodIdentify: "yyyy yyyy", methodRoomCreate: "yyyy yyyy", methodRooms: "yyyy yyyy", methodKEMKey: "yyyy yyyy", methodUserGet: "yyyy yyyy",
		methodAccept: "yyyy yyyy", methodDecline: "yyyy yyyy", methodInvitations: "yyyy yyyy",
		methodRoomGet: "-yyy yyyy", methodMembers: "-yyy yyyy",
		methodRoomRename: "--yy yyyy", methodInvite: "--yy yyyy", methodRemove: "--yy yyyy",
		methodRoomArchive: "---y yyyy", methodRole: "---y yyyy",
		methodStatements: "-yyy -yyy", methodAppend: "yyyy yyyy", methodFoundAnew: "---y ---y",
		methodLeave: "-yyy -yyy", methodKey: "-yyy -yyy", methodEpochs: "-yyy -yyy", methodBox: "-yyy -yyy",
		methodRekeyPart: "-yyy -yyy", methodRekeyCommit: "-yyy -yyy",
		methodUserAdd: "---- yyyy", methodUserRevoke: "---- yyyy", methodUserActivate: "---- yyyy",
	}
	if len(want) != len(Rules()) {
		t.Errorf("%d methods are checked, there are %d", len(want), len(Rules()))
	}
	for m, rule := range Rules() {
		var got strings.Builder
		for _, userAdmin := range []bool{false, true} {
			for s := outsider; s <= asOwner; s++ {
				got.WriteByte("-y"[map[bool]int{true: 1}[rule.allows(s, userAdmin)]])
			}
			got.WriteByte(' ')
		}
		if g := strings.TrimSpace(got.String()); g != want[m] {
			t.Errorf("%s: %s, want %s", m, g, want[m])
		}
	}
	touch := ""
	for s := outsider; s <= asOwner; s++ {
		for _, role := range []core.MemberRole{core.MemberMember, core.MemberAdmin, core.MemberOwner} {
			touch += fmt.Sprint(map[bool]int{true: 1}[mayChangeMember(s, false, role)])
		}
	}
	if touch != "000000100110" || mayChangeMember(outsider, true, core.MemberOwner) || !mayChangeMember(outsider, true, core.MemberAdmin) {
		t.Errorf("who may touch whom: %s", touch)
	}
}

// TestUserAdminInAnEncryptedRoom is the rest of a user-admin's right there, written a
// second time: the methods that read the list of members or take something away.
func TestUserAdminInAnEncryptedRoom(t *testing.T) {
	t.Parallel()
	var left, lost []Method
	for m, rule := range Rules() {
		switch a := (actor{user: core.User{Role: core.RoleAdmin}, room: core.Room{Encrypted: true}, rule: rule}); {
		case !rule.UserAdminAllowed || !rule.inRoom():
		case rule.allows(outsider, a.userAdmin()):
			left = append(left, m)
		default:
			lost = append(lost, m)
		}
	}
	slices.Sort(left)
	slices.Sort(lost)
	if d := cmp.Diff([]Method{methodMembers, methodRemove, methodRoomArchive, methodRoomGet, methodRoomRename}, left); d != "" {
		t.Errorf("left:\n%s", d)
	}
	if d := cmp.Diff([]Method{methodInvite, methodRole}, lost); d != "" {
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
	before, err := storetest.Export(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	name, long := "name", strings.Repeat("é", core.MaxName/2+1)
	big := make([]byte, maxBox+1)
	for _, c := range []struct {
		what string
		by   core.UserID
		m    Method
		req  any
		want core.Kind
	}{
		{"wildcard", w.owner, methodRoomCreate, CreateRequest{ID: "a.*"}, core.KindInvalid},
		{"dot", w.owner, methodRoomCreate, CreateRequest{ID: "a.b"}, core.KindInvalid},
		{"space", w.owner, methodRoomCreate, CreateRequest{ID: "a b"}, core.KindInvalid},
		{"mechanism's", w.owner, methodRoomCreate, CreateRequest{ID: "_authority"}, core.KindInvalid},
		{"long id", w.owner, methodRoomCreate, CreateRequest{ID: strings.Repeat("a", 65)}, core.KindInvalid},
		{"long name", w.owner, methodRoomCreate, CreateRequest{ID: "ok", Name: &long}, core.KindInvalid},
		{"taken", w.other, methodRoomCreate, CreateRequest{ID: room, Name: &name}, core.KindExists},
		{"half made, of the other kind", w.owner, methodRoomCreate, CreateRequest{ID: "half", Encrypted: true}, core.KindExists},
		{"unknown field", w.owner, methodRoomRename, map[string]any{"room": room, "name": "x", "owner": "me"}, core.KindInvalid},
		{"other room", w.other, methodRoomRename, renameRequest{room, "x"}, core.KindRefused},
		{"no room", w.other, methodRoomRename, renameRequest{"none", "x"}, core.KindRefused},
		{"no room, user-admin", w.admin, methodRoomRename, renameRequest{"none", "x"}, core.KindNotFound},
		{"invite of no id", w.owner, methodInvite, inviteRequest{Room: room, User: "U*"}, core.KindInvalid},
		{"invite of a stranger", w.owner, methodInvite, inviteRequest{Room: room, User: string(strangerID(t))}, core.KindNotFound},
		{"invite of a revoked one", w.owner, methodInvite, inviteRequest{Room: room, User: string(revoked)}, core.KindRefused},
		{"invite of a member", w.owner, methodInvite, inviteRequest{Room: room, User: string(w.member)}, core.KindExists},
		{"invite as owner", w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other), Role: core.MemberOwner}, core.KindInvalid},
		{"a large proof", w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other), Proof: big}, core.KindInvalid},
		{"a proof like statements", w.owner, methodInvite, inviteRequest{Room: room, User: string(w.other), Proof: []byte(core.StatementsPrefix + "\x00\x01x")}, core.KindInvalid},
		{"the owner leaves", w.owner, methodLeave, roomRequest{room}, core.KindRefused},
		{"the owner is removed", w.admin, methodRemove, memberRequest{room, string(w.owner)}, core.KindRefused},
		{"a member removes", w.member, methodRemove, memberRequest{room, string(w.owner)}, core.KindRefused},
		{"an unknown role", w.owner, methodRole, roleRequest{room, string(w.member), "king"}, core.KindInvalid},
		{"an empty key", w.owner, methodKEMKey, kemKeyRequest{}, core.KindInvalid},
		{"a large key", w.owner, methodKEMKey, kemKeyRequest{make([]byte, maxKEMKey+1)}, core.KindInvalid},
		{"a large box", w.owner, methodRekeyPart, rekeyPart{Room: room, Rec: rec1, Boxes: []Box{{string(w.owner), big}}}, core.KindInvalid},
		{"a large part", w.owner, methodRekeyPart, rekeyPart{Room: room, Rec: rec1, Boxes: manyBoxes(w.owner, 33)}, core.KindInvalid},
		{"a rec with a dot", w.owner, methodRekeyPart, rekeyPart{Room: room, Rec: "00000000.0000001", Boxes: []Box{{string(w.owner), []byte{1}}}}, core.KindInvalid},
		{"a box for no member", w.owner, methodRekeyPart, rekeyPart{Room: room, Rec: rec1, Boxes: []Box{{string(w.other), []byte{1}}}}, core.KindConflict},
		{"a box for a stranger", w.owner, methodBox, boxRequest{Box: Box{string(strangerID(t)), []byte{1}}, Room: room, Rec: "0"}, core.KindNotFound},
		{"a box of a future epoch", w.owner, methodBox, boxRequest{Box: Box{string(w.member), []byte{1}}, Room: room, Epoch: 9, Rec: "0"}, core.KindConflict},
		{"a commit without boxes", w.owner, methodRekeyCommit, rekeyCommit{Room: room, Rec: rec1, Boxes: 1, Record: []byte{1}}, core.KindConflict},
		{"a future epoch's key", w.owner, methodKey, keyRequest{room, 7}, core.KindNotFound},
		{"who is revoked", revoked, methodRooms, request.Page{}, core.KindRefused},
		{"a stranger", strangerID(t), methodRooms, request.Page{}, core.KindRefused},
		{"user-admin's work", w.owner, methodUserAdd, AddUserRequest{User: string(strangerID(t))}, core.KindRefused},
		{"an unknown role of users", w.admin, methodUserAdd, AddUserRequest{User: string(strangerID(t)), Role: "king"}, core.KindInvalid},
	} {
		_, err := w.do(c.by, c.m, c.req)
		wantKind(t, c.what, err, c.want)
	}
	after, err := storetest.Export(t.Context(), w.store)
	if d := cmp.Diff(before, after); err != nil || d != "" {
		t.Errorf("refused requests changed something (%v):\n%s", err, d)
	}
}

func manyBoxes(user core.UserID, n int) (boxes []Box) {
	for range n {
		boxes = append(boxes, Box{string(user), make([]byte, maxBox)})
	}
	return boxes
}

// FuzzDecode: no request breaks the decoder, and an accepted one is of this version and UTF-8.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"v":1,"req":{"room":"a","user":"U"}}`, `{"v":2}`, `{"v":1}{}`, `{"v":1,"req":[]}`, "", "\xff", `{"v":1,"req":{"room":"\ud800"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decode[inviteRequest](body)
		if err != nil && core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q: %v", body, err)
		}
		if err == nil && !strings.Contains(string(body), "1") {
			t.Errorf("%q was taken as %+v", body, req)
		}
	})
}
