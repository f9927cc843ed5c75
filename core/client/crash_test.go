package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// crashCopy is a user whose process dies now: a copy of the directory is what the next finds.
func crashCopy(t *testing.T, of testUser) testUser {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	ok(t, os.CopyFS(dir, os.DirFS(of.cfg.Dir)))
	ok(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			return os.Chmod(path, 0o600)
		}
		return errors.Join(err, os.Chmod(path, 0o700))
	}))
	of.cfg.Dir = dir
	return of
}

// TestOwnRemovalSurvivesACrash: bob signs mallory's removal, the node has it and
// acknowledges it, and bob's process dies before the reconciler (which waits for a slow node) saves.
// The next process is shown the chain of before the removal.
func TestOwnRemovalSurvivesACrash(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	ok(t, p.room.SetRole(ctx(t), p.bob.User(), core.MemberAdmin))
	mallory := newTestUser(t, p.cluster, core.RoleMember).open()
	ok(t, p.room.Invite(ctx(t), mallory.User(), ""))
	theirs := must[*Room](t)(mallory.Accept(ctx(t), id))
	ok(t, p.room.Rekey(ctx(t)))
	isAt(t, theirs, 3)
	p.bobs.wake()
	p.at(t, 3)
	ok(t, runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error { return w.follow(ctx) }))
	before := must[control.RoomInfo](t)(p.bob.api.Room(ctx(t), id))
	p.bobs.do(func(l *roomLoop) { l.unsaved = true })
	ok(t, runJob(t, p.bobs, func(_ context.Context, w *reconciler) error { return w.save() }))

	resume := stall(t, p.bobs) // the node takes its time to answer the reconciler
	short, cancel := context.WithTimeout(ctx(t), time.Second)
	defer cancel()
	_ = p.bobs.Remove(short, mallory.User()) // "they are out and the key is still to be made"
	if role, _ := p.bobs.members.role(mallory.User()); role != "" {
		t.Fatal("not removed")
	}
	now, _ := p.bobs.members.head()
	saved := must[roomState](t)(p.bob.dir.room(id))
	if saved.Members.Head.Seq < now.Seq {
		t.Errorf("followed, acknowledged and told to the program: statement %d; on disk: %d", now.Seq, saved.Members.Head.Seq)
	}
	crashed := crashCopy(t, p.bobFiles)
	resume()
	ok(t, p.bob.Close())
	l := &lyingAPI{
		room: func(r *control.RoomInfo) { *r = before },
		statements: func(_ control.StatementsRequest, s *control.Statements) {
			s.Head = *before.Chain
			s.Statements = s.Statements[:min(uint64(len(s.Statements)), before.Chain.Seq+1-s.First)]
		},
	}
	later := crashed.open(between(l))
	room, err := later.Room(ctx(t), id)
	if err != nil {
		return
	}
	if err := room.Send(ctx(t), []byte("secret")); err == nil {
		t.Errorf("the next process sends under the key of epoch %d, which mallory has, whom this user has removed", room.view.Load().sender.Record().Epoch)
	}
}

// TestHeardKeyIsOnDisk: a newer encryption key that a heartbeat has named is forgotten by a process that dies.
func TestHeardKeyIsOnDisk(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	kem := must[*seal.KEM](t)(seal.NewKEM())
	newer := p.ann.ownKey().Time + 1000
	ok(t, p.bob.noteKEMOf(seal.Heartbeat{Room: p.room.ID(), User: p.ann.User(), KEMTime: newer, KEMHash: kem.Hash()}))
	nodetest.Wait(t, wait, func() error {
		var onDisk map[core.UserID]peer
		ok(t, p.bob.dir.read(peersFile, &onDisk))
		if onDisk[p.ann.User()].Time != newer {
			return core.Errorf(core.KindConflict, "a key that a member has signed to be its newest is not on disk: after a crash the server can show the former one again")
		}
		return nil
	})
}

// TestRepeatAfterACrash: a process dies before it has saved that a message was delivered, and
// the node delivers that message again. It is refused, of a sender who was read before in the
// epoch, and of one who was not.
func TestRepeatAfterACrash(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	id := p.room.ID()
	heard := p.bobs.Chan(t.Context())
	for e := core.Epoch(2); e <= 3; e++ {
		if e == 3 {
			ok(t, p.room.Rekey(ctx(t)))
			p.bobs.wake()
		}
		p.at(t, e)
		isAt(t, p.room, e)
		if e == 2 {
			ok(t, p.room.Send(ctx(t), []byte("before")))
			receiveText(t, heard, "before")
		}
		saved := roomState{}
		nodetest.Wait(t, wait, func() error {
			saved = must[roomState](t)(p.bob.dir.room(id))
			mark := saved.Marks[p.ann.User()]
			if saved.epoch() != e || e == 2 && (mark == 0 || time.Since(mark.Time()) < 2*saveMarksEvery+100*time.Millisecond) {
				return core.Errorf(core.KindConflict, "not saved, or just now: %+v", saved)
			}
			return nil
		})
		later := crashCopy(t, p.bobFiles)
		s := must[*seal.Sender](t)(seal.NewSender(seal.SenderConfig{Key: p.room.key(t), By: p.ann.id}))
		pay := &nats.Msg{Subject: auth.RoomSubject(id, string(p.ann.User())), Data: must[[]byte](t)(s.Seal([]byte("pay 100"), core.MillisOf(time.Now())))}
		p.bobs.do(func(l *roomLoop) { l.receiveOne(pay) })
		receiveText(t, heard, "pay 100")
		c := later.open()
		room := must[*Room](t)(c.Room(ctx(t), id))
		again := room.Chan(t.Context())
		isAt(t, room, e)
		room.do(func(l *roomLoop) { l.receiveOne(pay) })
		want(t, "the repeated message", await(t, "an answer to it", again).Err, core.KindRefused, seal.ErrTooOld)
		ok(t, p.room.Send(ctx(t), []byte("news")))
		receiveText(t, again, "news")
		ok(t, c.Close())
	}
}
