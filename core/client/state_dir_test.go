package client

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// TestStateDir: saved state comes back, only its owner may read it, and damaged files are an error.
func TestStateDir(t *testing.T) {
	t.Parallel()
	dir, me := filepath.Join(t.TempDir(), "new"), core.UserID(nodetest.Identity(t).Public())
	v := must[*stateDir](t)(openStateDir(dir, me))
	k := must[*seal.KEM](t)(v.kem())
	head := seal.Head{Room: "plans", Epoch: 7, Rec: "0123456789abcdef", Hash: seal.Hash{1}}
	ok(t, v.saveRoom("plans", roomState{Encrypted: true, Head: &head, Marks: map[core.UserID]core.Millis{me: 5}}))
	ok(t, v.savePeers())
	ok(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if st, e := d.Info(); err != nil || e != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
		if strings.Contains(path, ".new-") {
			t.Errorf("%s was left", path)
		}
		return nil
	}))
	want(t, "a second process", second(openStateDir(dir, me)), core.KindRefused, ErrLocked)
	ok(t, v.lock.Close()) // as a crash would

	v = must[*stateDir](t)(openStateDir(dir, me))
	if again := must[*seal.KEM](t)(v.kem()); !v.crashed || again.Hash() != k.Hash() {
		t.Errorf("after a crash: %v, another key: %v", v.crashed, again.Hash() != k.Hash())
	}
	m := must[roomState](t)(v.room("plans"))
	if !m.Encrypted || m.Head == nil || *m.Head != head || m.Marks[me] != 5 {
		t.Errorf("of the room is known: %+v", m)
	}
	for name, text := range map[string]string{
		roomFile("plans"): "{", roomFile("other"): `{"v":1,"head":{"room":"plans"}}`, roomFile("newer"): `{"v":99}`, kemFile: "zz",
	} {
		ok(t, os.WriteFile(v.path(name), []byte(text), 0o600))
	}
	for _, id := range []core.RoomID{"plans", "other", "newer"} {
		want(t, "a damaged file of "+string(id), second(v.room(id)), core.KindInvalid, nil)
	}
	want(t, "a damaged key", second(v.kem()), core.KindInvalid, nil)
	ok(t, os.Chmod(v.path(kemFile), 0o644))
	want(t, "a key that others may read", second(v.kem()), core.KindRefused, nil)
	ok(t, v.close(true))
	if v = must[*stateDir](t)(openStateDir(dir, me)); v.crashed {
		t.Error("a clean end looks like a crash")
	}
	ok(t, v.close(true))
	ok(t, os.Chmod(v.dir, 0o755))
	want(t, "a directory that others may enter", second(openStateDir(dir, me)), core.KindRefused, nil)
}

// TestNoKeyBeforeItsHeadIsSaved: a key of an epoch whose record could not be saved is
// used for nothing until the record is on disk. A node could otherwise take this user
// back behind it after a restart.
func TestNoKeyBeforeItsHeadIsSaved(t *testing.T) {
	t.Parallel()
	for what, rekey := range map[string]func(p *pair) error{
		"of another member": func(p *pair) error { return p.room.Rekey(ctx(t)) },
		"made here": func(p *pair) error {
			if err := p.bobs.Rekey(ctx(t)); err == nil {
				t.Error("a rekey succeeds without a disk")
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			rooms := p.bob.dir.path(roomsDir)
			ok(t, os.Rename(rooms, rooms+".away"))
			ok(t, rekey(p))
			for range 3 { // one attempt that follows the record, and later ones that find it followed
				err := runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) })
				if at, sends := p.bobs.Epoch(); err == nil || sends {
					t.Fatalf("without a disk: %v, and it sends in epoch %d", err, at)
				}
			}
			short, cancel := context.WithTimeout(ctx(t), 100*time.Millisecond)
			defer cancel()
			want(t, "sending without a disk", p.bobs.Send(short, []byte("x")), core.KindUnavailable, ErrNoKey)
			ok(t, os.Rename(rooms+".away", rooms))
			p.bobs.wake()
			p.at(t, 3)
			if m := must[roomState](t)(p.bob.dir.room(p.bobs.ID())); m.Head == nil || m.Head.Epoch != 3 {
				t.Errorf("on disk is %+v", m.Head)
			}
		})
	}
}

// TestRoomFileOfAnotherRoom: where file names have no case, two rooms could have one file. The
// second is refused, and nothing of the first is lost.
func TestRoomFileOfAnotherRoom(t *testing.T) {
	t.Parallel()
	d := must[*stateDir](t)(openStateDir(filepath.Join(t.TempDir(), "keys"), "UA"))
	ok(t, d.saveRoom("Plans", roomState{Encrypted: true}))
	ok(t, os.Rename(d.path(roomFile("Plans")), d.path(roomFile("plans")))) // as such a file system shows it
	err := second(d.room("plans"))
	want(t, "the other room", err, core.KindRefused, nil)
	if err == nil || !strings.Contains(err.Error(), "Plans") {
		t.Error(err)
	}
	want(t, "answering an invitation to it", d.noteAnswer(Invitation{Room: "plans"}), core.KindRefused, nil)
}
