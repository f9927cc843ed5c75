package control

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

const rec1 = "00000000000000a1"

// change is one acting method as the crash test uses it.
type change struct {
	name    string
	m       Method
	by      func(*world) core.UserID
	prepare func(*testing.T, *world) (req any)
	points  string    // the buckets that it writes, in their order
	again   core.Kind // of a second try where the commit had happened
}

func changes() []change {
	owner := func(w *world) core.UserID { return w.owner }
	member := func(w *world) core.UserID { return w.member }
	admin := func(w *world) core.UserID { return w.admin }
	inRoom := func(req func(w *world, room string) any) func(*testing.T, *world) any {
		return func(t *testing.T, w *world) any { return req(w, w.room(t, true)) }
	}
	return []change{
		{"create", methodRoomCreate, owner, func(*testing.T, *world) any { return CreateRequest{ID: string(NewRoomID())} }, "rooms members rooms_by_member", core.KindExists},
		{"rename", methodRoomRename, owner, inRoom(func(_ *world, r string) any { return renameRequest{r, "name"} }), "rooms", ""},
		{"archive", methodRoomArchive, owner, inRoom(func(_ *world, r string) any { return roomRequest{r} }), "rooms", core.KindRefused},
		{"invite", methodInvite, owner, inRoom(func(w *world, r string) any { return inviteRequest{Room: r, User: string(w.other)} }), "members rooms_by_member", ""},
		{"accept", methodAccept, func(w *world) core.UserID { return w.other }, inRoom(func(w *world, r string) any {
			if _, err := w.do(w.owner, methodInvite, inviteRequest{Room: r, User: string(w.other)}); err != nil {
				panic(err)
			}
			return roomRequest{r}
		}), "members rooms_by_member", core.KindNotFound},
		{"decline", methodDecline, func(w *world) core.UserID { return w.other }, inRoom(func(w *world, r string) any {
			if _, err := w.do(w.owner, methodInvite, inviteRequest{Room: r, User: string(w.other)}); err != nil {
				panic(err)
			}
			return roomRequest{r}
		}), "members rooms_by_member", core.KindNotFound},
		{"remove", methodRemove, owner, inRoom(func(w *world, r string) any { return memberRequest{r, string(w.member)} }), "members rooms_by_member", core.KindNotFound},
		{"leave", methodLeave, member, inRoom(func(_ *world, r string) any { return roomRequest{r} }), "members rooms_by_member", core.KindRefused},
		{"role", methodRole, owner, inRoom(func(w *world, r string) any { return roleRequest{r, string(w.member), core.MemberAdmin} }), "members", ""},
		{"hand over", methodRole, owner, inRoom(func(w *world, r string) any { return roleRequest{r, string(w.member), core.MemberOwner} }), "rooms members members", core.KindRefused},
		appendChange(),
		foundChange(),
		{"publish", methodKEMKey, owner, func(*testing.T, *world) any { return kemKeyRequest{[]byte("key")} }, "users", ""},
		{"box", methodBox, owner, inRoom(func(w *world, r string) any {
			return boxRequest{Box: Box{string(w.owner), []byte("box")}, Room: r, Rec: core.LegacyRec}
		}), "room_keys", ""},
		{"part", methodRekeyPart, owner, inRoom(func(w *world, r string) any {
			return rekeyPart{Room: r, Rec: rec1, Boxes: []Box{{string(w.owner), []byte("box")}}}
		}), "room_keys", ""},
		{"commit", methodRekeyCommit, owner, func(t *testing.T, w *world) any {
			r := w.room(t, true)
			w.must(t, w.owner, methodRekeyPart, rekeyPart{Room: r, Rec: rec1, Boxes: []Box{{string(w.owner), []byte("box")}}})
			return rekeyCommit{Room: r, Rec: rec1, Boxes: 1, Record: []byte("record")}
		}, "room_keys rooms", core.KindConflict},
		{"add", methodUserAdd, admin, func(t *testing.T, _ *world) any { return AddUserRequest{User: string(strangerID(t))} }, "users", core.KindExists},
		{"revoke", methodUserRevoke, admin, func(t *testing.T, w *world) any { return userRequest{string(w.addUser(t, ""))} }, "users", ""},
		{"activate", methodUserActivate, admin, func(t *testing.T, w *world) any { return userRequest{string(w.addUser(t, ""))} }, "users", ""},
	}
}

// TestControlCrashAtEveryWrite stops at each write of each change: committed rows hold,
// derived ones are mended, nothing is half done, and a second try ends it.
func TestControlCrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	missed := map[Method]bool{}
	for m, rule := range Rules() {
		missed[m] = rule.Acts
	}
	for _, c := range changes() {
		delete(missed, c.m)
		var hit []string
		for n := 0; ; n++ {
			at, stopped := w.crash(t, c, n)
			if !stopped {
				break
			}
			hit = append(hit, at)
		}
		t.Logf("%-9s %s", c.name, strings.Join(hit, ", "))
		if got := strings.Join(hit, " "); got != c.points {
			t.Errorf("%s stopped at %q, it should at %q", c.name, got, c.points)
		}
	}
	for m, acts := range missed {
		if acts {
			t.Errorf("%s changes something and is not in this test", m)
		}
	}
}

// crash fails every write of a change from the n-th on, and says at which bucket that was.
func (w *world) crash(t *testing.T, c change, n int) (at string, stopped bool) {
	t.Helper()
	req, by := c.prepare(t, w), c.by(w)
	tried := map[string]bool{} // a second try of a write, after a conflict, is the same write
	refuse := func(bucket, key string) error {
		if tried[bucket+" "+key] || len(tried) < n {
			tried[bucket+" "+key] = true
			return nil
		}
		if at == "" {
			at = strings.TrimPrefix(bucket, "UNIBUS_")
		}
		return core.Errorf(core.KindUnavailable, "the process stopped here")
	}
	w.onWrite.Store(&refuse)
	_, err := w.do(by, c.m, req)
	w.onWrite.Store(nil)
	if at == "" {
		if err != nil {
			t.Errorf("%s, uninterrupted: %v", c.name, err)
		}
		return "", false
	}
	wantKind(t, fmt.Sprintf("%s, stopped at write %d", c.name, n+1), err, core.KindUnavailable)
	if want := map[bool]core.Outcome{true: core.OutcomeNone, false: core.OutcomeUnknown}[n == 0]; core.OutcomeOf(err) != want {
		t.Errorf("%s, stopped at write %d: %v has the outcome %q, not %q", c.name, n+1, err, core.OutcomeOf(err), want)
	}
	w.mendedIndex(t, c.name)
	if _, err := w.do(by, c.m, req); err != nil && core.KindOf(err) != c.again {
		t.Errorf("%s again, after a stop at write %d: %v", c.name, n+1, err)
	} else if err != nil && n == 0 {
		t.Errorf("%s had happened before its first write: %v", c.name, err)
	}
	w.mendedIndex(t, c.name+" again")
	w.whole(t, c.name)
	return at, true
}

// mendedIndex runs the reconciler and compares the whole index with the members.
func (w *world) mendedIndex(t *testing.T, after string) {
	t.Helper()
	if _, err := w.store.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap, err := storetest.Export(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	want := snap.Rows(core.TableRoomsByMember)
	i := 0
	for r, err := range w.store.Keys(t.Context(), core.TableRoomsByMember) {
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(want) || r.Key != want[i].Key || !bytes.Equal(r.Value, want[i].Value) {
			t.Fatalf("after %s the index has %s %s, which the members do not", after, r.Key, r.Value)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("after %s the index has %d entries, the members %d", after, i, len(want))
	}
}

// whole checks the rules that hold at any time: every room's epoch has its record and
// boxes, and every room one owner, who sees it so.
func (w *world) whole(t *testing.T, after string) {
	t.Helper()
	rooms, err := w.store.Rooms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms {
		if r.Epoch > 0 {
			records, err := w.store.Epochs(t.Context(), r.ID, r.Epoch, 1)
			holders, herr := w.store.KeyHolders(t.Context(), r.ID)
			if err != nil || herr != nil || len(records) != 1 || len(holders) == 0 {
				t.Errorf("after %s the room %s is at epoch %d with %d records and %d boxes", after, r.ID, r.Epoch, len(records), len(holders))
			}
		}
		info := w.must(t, r.Owner, methodRoomGet, roomRequest{string(r.ID)}).(RoomInfo)
		if info.Role != core.MemberOwner {
			t.Errorf("after %s the owner of %s is %q", after, r.ID, info.Role)
		}
	}
}
