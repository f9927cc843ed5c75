package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// named adds and opens a user with a name.
func named(t *testing.T, c *nodetest.Cluster, name string) (testUser, *Client) {
	t.Helper()
	files := newNamedUser(t, c, core.User{Role: core.RoleMember, Name: &name})
	return files, files.open()
}

// number is the safety number as the other side shows it.
func number(t *testing.T, shownBy *Client, of core.UserID) seal.SafetyNumber {
	t.Helper()
	return must[seal.SafetyNumber](t)(shownBy.SafetyNumber(of))
}

// TestVerifiedPersonGetsAnotherKey: an operator moves a verified person to another key. No
// program overlooks it: nothing is sent in a room with the new key before it was verified
// or acknowledged, also after a restart.
func TestVerifiedPersonGetsAnotherKey(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	annFiles, ann := named(t, n, "Ann")
	_, bob := named(t, n, "Bob")
	newFiles, newBob := named(t, n, "bob") // as an operator may write it
	ok(t, ann.Verify(ctx(t), bob.User(), number(t, bob, ann.User())))
	lobby := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{ID: "lobby"}))
	plans := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{ID: "plans", Encrypted: true}))
	join(t, lobby, bob)
	join(t, plans, bob)
	awaitKeys(t, plans)
	for _, r := range []*Room{lobby, plans} {
		ok(t, r.Send(ctx(t), []byte("to Bob")))
	}
	events := eventsOf(t, ann)
	must[*Room](t)(bob.Room(ctx(t), "plans"))
	old := bob.User()
	if _, err := n.Client(0, n.Admin).UserReplace(t.Context(), string(old), string(newFiles.id)); err != nil {
		t.Fatal(err)
	}
	join(t, plans, newBob) // an owner lets the new key in
	for range 2 {
		e := awaitEvent(t, events, func(IdentityChanged) bool { return true })
		if e.Was != old || e.Now != newBob.User() {
			t.Errorf("%+v", e)
		}
	}
	for _, r := range []*Room{lobby, plans} {
		err := r.Send(ctx(t), []byte("to whom?"))
		want(t, "sending in "+string(r.ID()), err, core.KindRefused, ErrIdentityChanged)
		if id := new(IdentityError); !errors.As(err, &id) || len(id.Changes) != 1 || id.Changes[0].Now != newBob.User() {
			t.Errorf("%+v", err)
		}
		if !strings.Contains(err.Error(), string(newBob.User())) || len(r.IdentityChanges()) != 1 {
			t.Errorf("%v", err)
		}
	}
	ok(t, ann.Close())
	ann = annFiles.open()
	lobby, plans = must[*Room](t)(ann.Room(ctx(t), "lobby")), must[*Room](t)(ann.Room(ctx(t), "plans"))
	want(t, "sending after a restart", lobby.Send(ctx(t), []byte("to whom?")), core.KindRefused, ErrIdentityChanged)
	ok(t, ann.AcknowledgeIdentity(old, newBob.User()))
	ok(t, lobby.Send(ctx(t), []byte("to whoever it is")))
	if ann.IsVerified(newBob.User()) {
		t.Error("what was acknowledged is verified")
	}
	ok(t, ann.Verify(ctx(t), newBob.User(), number(t, newBob, ann.User())))
	ok(t, plans.Send(ctx(t), []byte("to Bob")))
	if all := ann.Verified(); len(all) != 2 || !ann.IsVerified(newBob.User()) || !ann.IsVerified(old) {
		t.Errorf("%+v", all)
	}
	ok(t, ann.Unverify(old))
	want(t, "forgetting twice", ann.Unverify(old), core.KindNotFound, nil)
	if len(lobby.IdentityChanges())+len(plans.IdentityChanges()) != 0 {
		t.Error("there are changes left")
	}
}

// TestVerify: only the number that the other side has is accepted, and renaming somebody
// first does not hide who takes the name.
func TestVerify(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	_, ann := named(t, n, "Ann")
	_, bob := named(t, n, "Bob")
	_, cid := named(t, n, "Cid")
	want(t, "another's number", ann.Verify(ctx(t), bob.User(), number(t, cid, ann.User())), core.KindRefused, ErrNumber)
	want(t, "no number", ann.Verify(ctx(t), bob.User(), "12345"), core.KindInvalid, nil)
	want(t, "oneself", ann.Verify(ctx(t), ann.User(), number(t, bob, ann.User())), core.KindInvalid, nil)
	nobody := core.UserID(nodetest.Identity(t).Public())
	want(t, "an unknown user", ann.Verify(ctx(t), nobody, must[seal.SafetyNumber](t)(seal.SafetyNumberOf(ann.User(), nobody))), core.KindNotFound, nil)
	want(t, "acknowledging what was not verified", ann.AcknowledgeIdentity(bob.User(), cid.User()), core.KindNotFound, nil)
	ok(t, ann.Verify(ctx(t), bob.User(), seal.SafetyNumber(number(t, bob, ann.User()).String())))
	want(t, "acknowledging no user", ann.AcknowledgeIdentity(bob.User(), "x"), core.KindInvalid, nil)
	l := &lyingAPI{}
	_, dot := named(t, n, "Dot")
	files := newTestUser(t, n, core.RoleMember)
	eve := files.open(between(l))
	ok(t, eve.Verify(ctx(t), bob.User(), number(t, bob, files.id)))
	room := must[*Room](t)(eve.CreateRoom(ctx(t), NewRoom{ID: "lobby"}))
	events := eventsOf(t, eve)
	join(t, room, bob)
	nodetest.Wait(t, wait, func() error { // bob is a member for eve now
		if all := eve.Verified(); len(all) != 1 || len(all[0].Names) != 1 {
			return core.Errorf(core.KindFailed, "%+v", all)
		}
		return room.Send(ctx(t), []byte("to Bob"))
	})
	rename := func(names map[core.UserID]string) {
		l.lie(func(l *lyingAPI) {
			l.members = func(all []control.Member) []control.Member {
				for i := range all {
					if name, is := names[all[i].User]; is {
						all[i].Name = &name
					}
				}
				return all
			}
		})
	}
	rename(map[core.UserID]string{bob.User(): "Robert"})
	join(t, room, cid)
	nodetest.Wait(t, wait, func() error {
		if all := eve.Verified(); len(all[0].Names) != 2 {
			return core.Errorf(core.KindFailed, "%+v", all)
		}
		return nil
	})
	rename(map[core.UserID]string{bob.User(): "Robert", dot.User(): "BOB"})
	join(t, room, dot)
	if e := awaitEvent(t, events, func(IdentityChanged) bool { return true }); e.Was != bob.User() || e.Now != dot.User() || e.Name != "BOB" {
		t.Errorf("%+v", e)
	}
}

// TestRoomSafetyNumber: members see the same number, another one after each statement, and
// what they have followed also while a node shows another history.
func TestRoomSafetyNumber(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	anns, bobs := must[seal.RoomNumber](t)(p.room.SafetyNumber(ctx(t))), must[seal.RoomNumber](t)(p.bobs.SafetyNumber(ctx(t)))
	if anns != bobs || anns.Seq != 2 {
		t.Errorf("ann has %+v, bob %+v", anns, bobs)
	}
	inviteStranger(t, p)
	if now := must[seal.RoomNumber](t)(p.bobs.SafetyNumber(ctx(t))); now == bobs || now != must[seal.RoomNumber](t)(p.room.SafetyNumber(ctx(t))) {
		t.Errorf("after an invitation: %+v", now)
	}
	if before := must[seal.RoomNumber](t)(p.bobs.SafetyNumberAt(2)); before != bobs {
		t.Errorf("%+v", before)
	}
	p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Chain.Hash[0] ^= 1 } })
	p.bobs.wake()
	awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, seal.ErrFork) })
	now, err := p.bobs.SafetyNumber(ctx(t))
	want(t, "while another history is shown", err, core.KindRefused, seal.ErrFork)
	if now != must[seal.RoomNumber](t)(p.room.SafetyNumber(ctx(t))) {
		t.Errorf("%+v", now)
	}
	plain := must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{}))
	want(t, "a plain room", second(plain.SafetyNumber(ctx(t))), core.KindRefused, nil)
	want(t, "a plain room, earlier", second(plain.SafetyNumberAt(0)), core.KindRefused, nil)
}

// TestFileOfVerifiedPeople: it is this user's alone, and a bad one is told and not
// replaced: nobody would hear of a change any more.
func TestFileOfVerifiedPeople(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	files, ann := named(t, n, "Ann")
	_, bob := named(t, n, "Bob")
	ok(t, ann.Verify(ctx(t), bob.User(), number(t, bob, ann.User())))
	file := filepath.Join(files.cfg.Dir, string(ann.User()), verifiedFile)
	if st := must[os.FileInfo](t)(os.Stat(file)); st.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", st.Mode())
	}
	good := must[[]byte](t)(os.ReadFile(file))
	ok(t, os.Chmod(filepath.Dir(file), 0o500))
	if os.Geteuid() != 0 { // root writes anyway
		want(t, "a directory that cannot be written", ann.Unverify(bob.User()), core.KindFailed, nil)
		if !ann.IsVerified(bob.User()) {
			t.Error("what is not on disk counts")
		}
	}
	ok(t, os.Chmod(filepath.Dir(file), 0o700))
	ok(t, ann.Close())
	for what, bad := range map[string]string{
		"cut off": string(good[:len(good)/2]), "empty": "", "another version": `{"v":9,"people":{}}`, "a list": "[]",
		"no user": `{"v":1,"people":{"ann":{"at":1}}}`, "acknowledged no user": `{"v":1,"people":{},"acknowledged":{"a":"b"}}`,
	} {
		ok(t, os.WriteFile(file, []byte(bad), 0o600))
		c := New(files.cfg)
		err := c.Open(ctx(t))
		want(t, what, err, core.KindInvalid, nil)
		if err == nil || !strings.Contains(err.Error(), file) || core.AsError(err).Next == "" {
			t.Errorf("%s: %v", what, err)
		}
		if kept := must[[]byte](t)(os.ReadFile(file)); string(kept) != bad {
			t.Errorf("%s: the file was written", what)
		}
	}
	ok(t, os.WriteFile(file, good, 0o600))
	if again := files.open(); !again.IsVerified(bob.User()) {
		t.Error("a restored file is not read")
	}
}

// TestRenamedLater: mallory is a member for long. The node shows mallory as Ann from now on,
// whom bob has verified. Nothing else changes.
func TestRenamedLater(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	_, ann := named(t, n, "Ann")
	_, mallory := named(t, n, "Mallory")
	l := &lyingAPI{}
	bobFiles := newTestUser(t, n, core.RoleMember)
	bob := bobFiles.open(between(l))
	ok(t, bob.Verify(ctx(t), ann.User(), number(t, ann, bob.User())))
	room := must[*Room](t)(bob.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, room, ann)
	join(t, room, mallory)
	awaitKeys(t, room)
	ok(t, runJob(t, room, func(ctx context.Context, w *reconciler) error {
		if err := w.follow(ctx); err != nil {
			return err
		}
		return w.refresh(ctx)
	}))
	ok(t, room.Send(ctx(t), []byte("to Ann")))
	name := "Ann"
	l.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for i := range all {
				if all[i].User == mallory.User() {
					all[i].Name = &name
				}
			}
			return all
		}
	})
	shown := false
	for range 3 { // what the program shows to people, and what the client does meanwhile
		room.wake()
		ok(t, runJob(t, room, func(ctx context.Context, w *reconciler) error { return w.refresh(ctx) }))
		for _, m := range must[[]control.Member](t)(room.Members(ctx(t))) {
			shown = shown || m.User == mallory.User() && m.Name != nil && *m.Name == name
		}
	}
	if err := room.Send(ctx(t), []byte("to whom?")); shown && err == nil {
		t.Error("Room.Members shows mallory's key as Ann, who is verified with another one; there is no event, and messages are sent")
	}
}

// TestNamesThatLookAlike: names that people take for the same are folded to the same.
func TestNamesThatLookAlike(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ann", "ANN", " Ann ", "A\u200bnn", "Ann\u00ad", "An\u0301n", "\u0410nn", "\u0391nn", "\u202eAnn"} {
		if foldName(name) != foldName("Ann") {
			t.Errorf("%+q is folded to %+q", name, foldName(name))
		}
	}
	for _, name := range []string{"Anna", "Bnn", "An n", "\u0414nn"} {
		if foldName(name) == foldName("Ann") {
			t.Errorf("%+q is taken for Ann", name)
		}
	}
}

// TestNamesThatLookEqual: one name can be written in more than one way that nobody can tell apart.
func TestNamesThatLookEqual(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"Jos\u00e9", "Jose\u0301"},
		{"Jos\u00e9", "Jose"},
		{"M\u00fcller", "Mu\u0308ller"},
		{"\u1eaeng", "A\u0306\u0301ng"},
		{"Lars", "Iars"},
		{"Lars", "|ars"},
		{"Otto", "0tto"},
		{"Ilse", "llse"},
		{"Ann", "\uff21\uff4e\uff4e"},
		{"Ann", "\U0001d400\U0001d427\U0001d427"},
		{"\u0419ork", "\u0418\u0306ork"},
		{"S\u00f8ren", "Soren"},
		{"Ann-Marie", "Ann\u2010Marie"},
		{"O'Brien", "O\u2019Brien"},
		{"Alice", "\u0391\u217cice"},
		{"\u0401va", "Eva"},
		{"\u0141ukasz", "Lukasz"},
		{"\ufb01nn", "finn"}, // one character for two letters
		{"\u03aczra", "azra"},
	} {
		if a, b := foldName(pair[0]), foldName(pair[1]); a != b {
			t.Errorf("%+q is folded to %+q, and %+q to %+q", pair[0], a, pair[1], b)
		}
	}
}

// TestNamesAreKept: a node renames a verified person back and forth. The names by which
// people know that person stay, and so does the newest one.
func TestNamesAreKept(t *testing.T) {
	t.Parallel()
	r := verifiedRecord{}.addName("Ann Meyer").addName("Ann Smith") // married, and shown like that for years
	last := ""
	for i := range 3 * maxVerifiedNames {
		last = fmt.Sprintf("x%d", i)
		r = r.addName(last)
	}
	if len(r.Names) != maxVerifiedNames {
		t.Errorf("%d names", len(r.Names))
	}
	for _, name := range []string{"Ann Meyer", "Ann Smith", last} {
		if !slices.Contains(r.Names, name) {
			t.Errorf("the names that are watched are %q: the node may show %s on another key now", r.Names, name)
		}
	}
}

// TestRenamedPersonIsTold: a verified person who is shown under another name is told, once.
func TestRenamedPersonIsTold(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	_, ann := named(t, n, "Ann")
	l := &lyingAPI{}
	bob := newTestUser(t, n, core.RoleMember).open(between(l))
	ok(t, bob.Verify(ctx(t), ann.User(), number(t, ann, bob.User())))
	room := must[*Room](t)(bob.CreateRoom(ctx(t), NewRoom{}))
	join(t, room, ann)
	events := eventsOf(t, bob)
	name := "Xenia"
	l.lie(func(l *lyingAPI) {
		l.members = func(all []control.Member) []control.Member {
			for i := range all {
				if all[i].User == ann.User() {
					all[i].Name = &name
				}
			}
			return all
		}
	})
	look := func() {
		ok(t, runJob(t, room, func(ctx context.Context, w *reconciler) error {
			w.identities = identityCheck{}
			return w.checkIdentities(ctx)
		}))
	}
	look()
	look()
	if e := awaitEvent(t, events, func(VerifiedRenamed) bool { return true }); e.User != ann.User() || e.Name != "Xenia" || !slices.Equal(e.Before, []string{"Ann"}) {
		t.Errorf("%+v", e)
	}
	bob.events.emit(NotSent{})
	for {
		switch e := await(t, "the last event", events).(type) {
		case VerifiedRenamed:
			t.Errorf("told twice: %+v", e)
		case NotSent:
			return
		}
	}
}
