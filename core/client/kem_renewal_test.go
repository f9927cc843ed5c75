package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
	"unibus/core/store/sqlite"
)

// thief has what was copied: the files of a device at one moment, and every box that a
// node ever had.
type thief struct {
	t    *testing.T
	me   core.UserID
	keys *kemKeys
}

// steal copies the files of a user's encryption keys.
func steal(t *testing.T, c *Client) thief {
	t.Helper()
	to := &stateDir{dir: t.TempDir()}
	for _, name := range []string{kemFile, kemFormerFile} {
		b, err := os.ReadFile(c.dir.path(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		ok(t, err)
		ok(t, os.WriteFile(to.path(name), b, 0o600))
	}
	return thief{t, c.me, must[*kemKeys](t)(openKEMKeys(to))}
}

// opens says whether a box opens with the stolen keys.
func (f thief) opens(k control.Key) bool {
	f.t.Helper()
	rec := must[seal.Record](f.t)(seal.VerifyRecord(*k.Record))
	_, err := seal.OpenBox(rec, k.Key, f.me, f.keys.forBox(k.Key.Box))
	return err == nil
}

// storedBox is a client's box of an epoch, as a node has it now.
func storedBox(t *testing.T, c *Client, room core.RoomID, e core.Epoch) control.Key {
	t.Helper()
	return must[control.Key](t)(c.api.Key(ctx(t), room, e))
}

// care has a client look after its keys as if a time had passed.
func care(t *testing.T, c *Client, after time.Duration) {
	t.Helper()
	c.kemLock.Lock()
	defer c.kemLock.Unlock()
	ok(t, c.forgetFormerKEMs(ctx(t), time.Now().Add(after)))
}

// awaitBoxOfCurrentKey waits until a client's box is sealed to its current key.
func awaitBoxOfCurrentKey(t *testing.T, c *Client, room core.RoomID, e core.Epoch) {
	t.Helper()
	nodetest.Wait(t, wait, func() error {
		h, err := seal.BoxKEMHash(storedBox(t, c, room, e).Key.Box)
		if err == nil && h != c.kem.Hash() {
			err = core.Errorf(core.KindConflict, "the box is sealed to the former key yet")
		}
		return err
	})
}

// TestThefts plays a theft of the files of encryption keys at each point of a renewal, by
// a thief who also has every box that was ever stored.
func TestThefts(t *testing.T) {
	t.Parallel()
	p := newPair(t) // at epoch 2
	id := p.room.ID()
	epoch2 := storedBox(t, p.bob, id, 2)
	before := steal(t, p.bob)
	ok(t, p.bob.RenewKey(ctx(t)))
	after := steal(t, p.bob)
	awaitBoxOfCurrentKey(t, p.bob, id, 2)
	anew := storedBox(t, p.bob, id, 2)
	ok(t, p.room.Rekey(ctx(t)))
	p.at(t, 3)
	epoch3 := storedBox(t, p.bob, id, 3)
	care(t, p.bob, 2*time.Hour)
	deleted := steal(t, p.bob)
	ok(t, p.bob.RenewKey(ctx(t)))
	ok(t, p.room.Rekey(ctx(t)))
	p.at(t, 4)
	epoch4 := storedBox(t, p.bob, id, 4)
	for _, c := range []struct {
		when  string
		thief thief
		box   control.Key
		which string
		opens bool
	}{
		{"before the renewal", before, epoch2, "the box of that epoch", true},
		{"before the renewal", before, anew, "the same box, sealed anew", false},
		{"before the renewal", before, epoch3, "the box of the next epoch", false},
		{"after the renewal", after, epoch2, "a box from before it", true},
		{"after the renewal", after, epoch3, "the box of the next epoch", true},
		{"after the deletion", deleted, epoch2, "a box from before the renewal", false},
		{"after the deletion", deleted, epoch3, "the box of the present epoch", true},
		{"after the deletion", deleted, epoch4, "the box after the owner has renewed the key", false},
	} {
		if got := c.thief.opens(c.box); got != c.opens {
			t.Errorf("a theft %s: %s opens: %v, want %v", c.when, c.which, got, c.opens)
		}
	}
	heard := p.room.Chan(t.Context())
	ok(t, p.bobs.Send(ctx(t), []byte("after all of it")))
	receiveText(t, heard, "after all of it")
}

// TestStolenKeyAndDeletedBoxes: once nodes have deleted the boxes of an epoch, a thief of
// the key and of the nodes' present data opens nothing of it.
func TestStolenKeyAndDeletedBoxes(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.room.Rekey(ctx(t)))
	p.at(t, 3)
	st := sqlite.New(sqlite.Config{Path: p.cluster.Configs[0].DB, Timeout: wait})
	ok(t, st.Open(ctx(t)))
	defer func() { ok(t, st.Close()) }()
	n, err := st.DeleteOldKeys(ctx(t), core.MillisOf(time.Now().Add(time.Hour)), 1000)
	if err != nil || n == 0 {
		t.Fatalf("deleted: %d, %v", n, err)
	}
	for e := core.Epoch(1); e <= 2; e++ {
		want(t, "a box of an epoch that is long over", second(p.bob.api.Key(ctx(t), p.room.ID(), e)), core.KindNotFound, nil)
	}
	if !steal(t, p.bob).opens(storedBox(t, p.bob, p.room.ID(), 3)) {
		t.Error("the box of the present epoch is gone too")
	}
}

// TestFormerKeyStays: a former key stays while a box that is still to be read was sealed
// to it, at least for a while after it was replaced, and not for ever.
func TestFormerKeyStays(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bobs.Close())
	ok(t, p.room.Rekey(ctx(t))) // bob has followed epoch 2, and the room is at 3
	ok(t, p.bob.RenewKey(ctx(t)))
	former := func() int { return len(p.bob.kem.replaced(core.MillisOf(time.Now().Add(time.Hour)))) }
	care(t, p.bob, 0)
	if former() != 1 {
		t.Error("the former key was deleted at once: a member may have read it just before")
	}
	care(t, p.bob, 2*time.Hour)
	if former() != 1 {
		t.Error("the former key was deleted, and the link of epoch 3 was not checked")
	}
	p.liar.lie(func(l *lyingAPI) { l.refuses = core.Errorf(core.KindUnavailable, "no") })
	short, cancel := context.WithTimeout(ctx(t), 200*time.Millisecond)
	defer cancel()
	want(t, "while no node answers", p.bob.forgetFormerKEMs(short, time.Now().Add(core.KeyRetention+time.Hour)), core.KindUnavailable, nil)
	if former() != 1 {
		t.Error("the former key was deleted while no node answered")
	}
	p.liar.lie(func(l *lyingAPI) { l.refuses = nil })
	p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID())) // checks the link with the former key
	awaitBoxOfCurrentKey(t, p.bob, p.room.ID(), 3)
	nodetest.Wait(t, wait, func() error {
		care(t, p.bob, 2*time.Hour)
		if former() > 0 {
			return core.Errorf(core.KindConflict, "the former key is there")
		}
		return nil
	})

	ok(t, p.bobs.Close())
	ok(t, p.room.Rekey(ctx(t)))
	ok(t, p.bob.RenewKey(ctx(t)))
	care(t, p.bob, core.KeyRetention+time.Hour)
	if former() != 0 {
		t.Error("the former key outlives the boxes")
	}
}

// TestClosedRoomIsSealedAnew: a room that the program does not open keeps no former key
// alive: its box is replaced, and opens after a restart.
func TestClosedRoomIsSealedAnew(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bobs.Close())
	ok(t, p.bob.RenewKey(ctx(t)))
	care(t, p.bob, 2*time.Hour)
	if n := len(p.bob.kem.replaced(core.MillisOf(time.Now().Add(time.Hour)))); n != 0 {
		t.Errorf("%d former keys are left", n)
	}
	ok(t, p.bob.Close())
	p.bob = p.bobFiles.open()
	heard := p.room.Chan(t.Context())
	ok(t, must[*Room](t)(p.bob.Room(ctx(t), p.room.ID())).Send(ctx(t), []byte("by the new key")))
	receiveText(t, heard, "by the new key")
}

// TestRenewalIsInterrupted: a stop between any two steps of a renewal loses no key, and
// the next start completes it.
func TestRenewalIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(t *testing.T, c *Client, dir *stateDir){
		"once the key is made": func(t *testing.T, c *Client, _ *stateDir) { must[*seal.KEM](t)(c.kem.prepare()) },
		"once it is published": func(t *testing.T, c *Client, _ *stateDir) {
			ok(t, c.publish(ctx(t), must[*seal.KEM](t)(c.kem.prepare()), c.ownKey().Time))
		},
		"once the former key is beside it": func(t *testing.T, c *Client, dir *stateDir) {
			was := must[[]byte](t)(os.ReadFile(dir.path(kemFile)))
			next := must[*seal.KEM](t)(c.kem.prepare())
			ok(t, c.publish(ctx(t), next, c.ownKey().Time))
			ok(t, os.Chmod(dir.path(kemFile), 0o600))
			c.kem.former = append(c.kem.former, formerKEM{c.kem.current, core.MillisOf(time.Now())})
			ok(t, c.kem.save())
			ok(t, os.WriteFile(dir.path(kemFile), was, 0o600))
		},
		"once kem.key is replaced": func(t *testing.T, c *Client, _ *stateDir) {
			next := must[*seal.KEM](t)(c.kem.prepare())
			ok(t, c.publish(ctx(t), next, c.ownKey().Time))
			was := c.kem.current
			ok(t, c.kem.use(core.MillisOf(time.Now())))
			c.kem.next = next // as the file before the last write has it
			ok(t, c.kem.save())
			if c.kem.current.Hash() == was.Hash() {
				t.Error("the key was not replaced")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			was := p.bob.kem.Hash()
			stop(t, p.bob, p.bob.dir)
			ok(t, p.bob.Close())
			p.bob = p.bobFiles.open()
			if now := p.bob.kem.Hash(); now == was || now != p.bob.ownKey().Hash || p.bob.kem.renewing() {
				t.Errorf("the renewal is not complete: key %s, before %s, published %s", now, was, p.bob.ownKey().Hash)
			}
			heard := p.room.Chan(t.Context())
			p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
			ok(t, p.bobs.Send(ctx(t), []byte("by the box of the former key")))
			receiveText(t, heard, "by the box of the former key")
			ok(t, p.room.Rekey(ctx(t)))
			p.at(t, 3)
		})
	}
}

// TestKeyIsRenewedByAge: the client renews a key of 30 days by itself, and one whose file
// is from an earlier release by the time of its publication.
func TestKeyIsRenewedByAge(t *testing.T) {
	t.Parallel()
	files := newTestUser(t, startNode(t), core.RoleMember)
	c := files.open(func(c *Client) {
		c.timing.keyCareAfter, c.timing.keyCareEvery = 10*time.Millisecond, 10*time.Millisecond
		c.timing.kemEvery = time.Second
	})
	first := c.kem.Hash()
	nodetest.Wait(t, wait, func() error {
		if c.kem.Hash() == first {
			return core.Errorf(core.KindConflict, "the key was not renewed")
		}
		return nil
	})
	ok(t, c.Close())
	day := 24 * time.Hour
	k := &kemKeys{dir: &stateDir{dir: t.TempDir()}, current: must[*seal.KEM](t)(seal.NewKEM())}
	now := time.Now()
	ago := func(d time.Duration) core.Millis { return core.MillisOf(now.Add(-d)) }
	for what, due := range map[string]bool{"old": k.due(now, 30*day, ago(31*day)), "young": !k.due(now, 30*day, ago(29*day)), "ahead": !k.due(now, 30*day, ago(-90*day))} {
		if !due {
			t.Errorf("a key that is %s", what)
		}
	}
	ok(t, k.correct(core.MillisOf(now), ago(-90*day))) // the clock was wrong when it was published
	if !k.due(now.Add(31*day), 30*day, ago(-90*day)) {
		t.Error("a key that was published by a wrong clock is renewed when that time has come, and not before")
	}
}

// TestFormerKeysFile: only its owner may read it, and a damaged one is an error that says so.
func TestFormerKeysFile(t *testing.T) {
	t.Parallel()
	d := &stateDir{dir: t.TempDir()}
	k := must[*kemKeys](t)(openKEMKeys(d))
	must[*seal.KEM](t)(k.prepare())
	ok(t, k.use(1))
	if again := must[*kemKeys](t)(openKEMKeys(d)); again.Hash() != k.Hash() || len(again.former) != 1 {
		t.Errorf("read again: %+v", again)
	}
	path := filepath.Join(d.dir, kemFormerFile)
	ok(t, os.Chmod(path, 0o644))
	want(t, "a file that others may read", second(openKEMKeys(d)), core.KindRefused, nil)
	for _, text := range []string{"{", `{"v":9}`, `{"v":1,"former":[{"key":"zz"}]}`, `{"v":1,"next":"00"}`} {
		ok(t, os.WriteFile(path, []byte(text), 0o600))
		ok(t, os.Chmod(path, 0o600))
		want(t, "a damaged file "+text, second(openKEMKeys(d)), core.KindInvalid, nil)
	}
}

// TestEarlierRelease: a client of an earlier release reads kem.key alone. It goes on in a
// directory whose key was renewed, and members seal to its key for as long as it likes.
func TestEarlierRelease(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bob.RenewKey(ctx(t)))
	awaitBoxOfCurrentKey(t, p.bob, p.room.ID(), 2)
	ok(t, p.bob.Close())
	ok(t, os.Remove(p.bob.dir.path(kemFormerFile)))
	p.bob = p.bobFiles.open()
	p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	heard := p.room.Chan(t.Context())
	ok(t, p.bobs.Send(ctx(t), []byte("without the former key")))
	receiveText(t, heard, "without the former key")
	ok(t, p.room.Rekey(ctx(t)))
	p.at(t, 3)
}

// TestComesBackAfterTheBoxes: a member who comes back after nodes have deleted the boxes
// of the epoch that they had read follows the next record all the same, once it is as old
// as that. A younger record needs a person's decision as before.
func TestComesBackAfterTheBoxes(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bob.Close())
	ok(t, p.room.Rekey(ctx(t)))
	st := sqlite.New(sqlite.Config{Path: p.cluster.Configs[0].DB, Timeout: wait})
	ok(t, st.Open(ctx(t)))
	defer func() { ok(t, st.Close()) }()
	must[int](t)(st.DeleteOldKeys(ctx(t), core.MillisOf(time.Now().Add(time.Hour)), 1000))
	p.bob = p.bobFiles.open()
	want(t, "a young record without its link", second(p.bob.Room(ctx(t), p.room.ID())), core.KindRefused, ErrUnlinked)
	ok(t, p.bob.Close())
	p.bob = p.bobFiles.open(func(c *Client) { c.timing.keyRetention = 0 })
	events, heard := eventsOf(t, p.bob), p.room.Chan(t.Context())
	p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	awaitEvent(t, events, func(e Rekeyed) bool { return e.Epoch == 3 && e.Unlinked })
	ok(t, p.bobs.Send(ctx(t), []byte("back")))
	receiveText(t, heard, "back")
}

// TestAwayForLong: a member who was away for longer than nodes keep boxes follows the
// records by the statements of the members, and says that no link was checked.
func TestAwayForLong(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, young := core.MillisOf(now.Add(-core.KeyRetention-time.Hour)), core.MillisOf(now.Add(-core.KeyRetention+time.Hour))
	for what, c := range map[string]struct {
		rec  seal.Record
		want bool
	}{
		"an old record of members who sign":    {seal.Record{Time: old, Members: &seal.MembershipHead{}}, true},
		"a young one":                          {seal.Record{Time: young, Members: &seal.MembershipHead{}}, false},
		"an old one of a room without a chain": {seal.Record{Time: old}, false},
	} {
		if defaultTiming().outlived(c.rec, now) != c.want {
			t.Errorf("%s is followed without its link: %v", what, !c.want)
		}
	}
}
