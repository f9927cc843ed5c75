package client

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestCloseEndsARoomThatIsBeingOpened: no call waits for a closed connection.
func TestCloseEndsARoomThatIsBeingOpened(t *testing.T) {
	t.Parallel()
	c := newTestUser(t, startNode(t), core.RoleMember).open()
	r, l, err := c.newRoom("elsewhere") // they are no member of it
	ok(t, err)
	come := make(chan error, 1)
	go func() {
		_, _, err := c.start(ctx(t), r, l, nil)
		come <- err
	}()
	nodetest.Wait(t, wait, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.rooms["elsewhere"] == nil {
			return core.Errorf(core.KindFailed, "it is not being opened")
		}
		return nil
	})
	begin := time.Now()
	ok(t, c.Close())
	want(t, "the room", await(t, "the room to be given up", come), core.KindUnavailable, ErrClosed)
	if took := time.Since(begin); took > wait/4 {
		t.Errorf("that took %s", took)
	}
}

// TestOpenEndsWithItsContext: also while nodes accept the connection and send nothing.
func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cfg := newTestUser(t, startNode(t), core.RoleMember).cfg
	cfg.Servers = nil
	for range 4 {
		l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		t.Cleanup(func() { _ = l.Close() })
		cfg.Servers = append(cfg.Servers, "nats://"+l.Addr().String())
	}
	short, cancel := context.WithTimeout(ctx(t), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	want(t, "silent nodes", New(cfg).Open(short), core.KindUnavailable, nil)
	if took := time.Since(begin); took > dialTimeout {
		t.Errorf("that took %s", took)
	}
}

// TestOneGivesUpARoom: a call that waits for another goroutine to open a room does
// not fail with that one's context, and a room that is being closed is opened again.
func TestOneGivesUpARoom(t *testing.T) {
	t.Parallel()
	c := newTestUser(t, startNode(t), core.RoleMember).open()
	id := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{})).ID()
	ok(t, c.rooms[id].Close())
	first, l, err := c.newRoom(id)
	ok(t, err)
	if other, err := c.register(first, l, nil); other != nil || err != nil {
		t.Fatal(other, err)
	}
	come, waits := make(chan error, 1), &watched{ctx(t), make(chan struct{}, 100)}
	go func() {
		_, err := c.Room(waits, id)
		come <- err
	}()
	await(t, "the call to wait", waits.looked)
	first.failed = core.Errorf(core.KindUnavailable, "given up by the caller")
	close(first.opened)
	ok(t, first.close(first.failed))
	ok(t, await(t, "the room to be opened", come))
	ok(t, must[*Room](t)(c.Room(ctx(t), id)).Send(ctx(t), []byte("x")))
}

// watched reports when a goroutine waits for its end.
type watched struct {
	context.Context
	looked chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	select {
	case w.looked <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

// TestOneRoomWritesAtATime: Close waits for a save that is under way, and nothing of
// a closed room writes an older state over a newer one.
func TestOneRoomWritesAtATime(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	begun, saved, first := make(chan struct{}), false, make(chan error, 1)
	go func() {
		first <- runJob(t, p.bobs, func(ctx context.Context, w *reconciler) error {
			close(begun)
			<-ctx.Done() // the room is being closed
			w.room.do(func(l *roomLoop) { l.unsaved = true })
			err := w.save()
			saved = true
			return err
		})
	}()
	await(t, "the reconciler to be free", begun)
	ok(t, p.bobs.Close())
	if !saved {
		t.Error("the room was closed while its state was being saved")
	}
	ok(t, await(t, "the save", first))
	ok(t, p.bobs.Close())
	ok(t, p.room.Rekey(ctx(t)))
	must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	if p.bobs.do(func(*roomLoop) {}) {
		t.Error("the goroutine of a closed room runs")
	}
	want(t, "a job for a closed room", runJob(t, p.bobs, func(_ context.Context, w *reconciler) error { return w.save() }), core.KindUnavailable, ErrClosed)
	if m := must[roomState](t)(p.bob.dir.room(p.room.ID())); m.Head == nil || m.Head.Epoch != 3 {
		t.Errorf("on disk is %+v", m.Head)
	}
}

// TestKilledWhileWriting: unfinished files are removed, and finished ones are read.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	dir, me := t.TempDir(), core.UserID(nodetest.Identity(t).Public())
	v := must[*stateDir](t)(openStateDir(dir, me))
	ok(t, v.saveRoom("plans", roomState{Encrypted: true}))
	left := []string{v.path(".new-1"), v.path(filepath.Join(roomsDir, ".new-2"))}
	for _, name := range left {
		ok(t, os.WriteFile(name, []byte("{"), 0o600))
	}
	ok(t, v.lock.Close())
	v = must[*stateDir](t)(openStateDir(dir, me))
	if m := must[roomState](t)(v.room("plans")); !m.Encrypted {
		t.Errorf("of the room is known: %+v", m)
	}
	for _, name := range left {
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	ok(t, v.close(true))
}
