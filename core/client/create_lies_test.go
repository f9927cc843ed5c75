package client

import (
	"context"
	"sync/atomic"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// creatingAPI is a lyingAPI that creates rooms and answers with an error.
type creatingAPI struct {
	*lyingAPI
	fails atomic.Bool
}

func (a *creatingAPI) CreateRoom(ctx context.Context, req control.CreateRequest) (core.Room, error) {
	r, err := a.lyingAPI.CreateRoom(ctx, req)
	if err == nil && a.fails.Load() {
		return core.Room{}, core.Errorf(core.KindFailed, "not now")
	}
	return r, err
}

func (a *creatingAPI) open(u testUser) *Client {
	return u.open(func(c *Client) {
		c.wrap = func(p controlAPI) controlAPI { a.controlAPI = p; return a }
	})
}

// TestCreatedWithoutAnAnswer: a node creates an encrypted room, answers with an error, and
// says later that the room is plain. This process, a later call and a later process know
// better, and use the room once the node is honest.
func TestCreatedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l := &creatingAPI{lyingAPI: &lyingAPI{}}
	files := newTestUser(t, startNode(t), core.RoleMember)
	ann := l.open(files)
	l.fails.Store(true)
	plans := NewRoom{ID: "plans", Encrypted: true}
	want(t, "creating it", second(ann.CreateRoom(ctx(t), plans)), core.KindFailed, nil)
	lie := func(when string) {
		t.Helper()
		for name, lie := range map[string]func(*control.RoomInfo){
			"plain":                 func(r *control.RoomInfo) { r.Room.Encrypted, r.Chain = false, nil },
			"encrypted as formerly": func(r *control.RoomInfo) { r.Chain = nil },
		} {
			l.lie(func(l *lyingAPI) { l.room = lie })
			want(t, when+", "+name, second(ann.Room(ctx(t), "plans")), core.KindRefused, seal.ErrRollback)
		}
		l.lie(func(l *lyingAPI) { l.room = nil })
	}
	lie("after the error")
	want(t, "creating it again", second(ann.CreateRoom(ctx(t), plans)), core.KindExists, nil)
	lie("after the second call")
	ok(t, ann.Close())
	ann = l.open(files)
	lie("after a restart")
	room := must[*Room](t)(ann.Room(ctx(t), "plans"))
	if ok(t, room.Send(ctx(t), []byte("sealed"))); !room.Encrypted() {
		t.Error("the room is plain")
	}
}

// TestCreatedOnTheSecondCall: a creation that was not done, and was not refused either, is
// asked for again with the same founding.
func TestCreatedOnTheSecondCall(t *testing.T) {
	t.Parallel()
	l := &lyingAPI{lost: func() error { return core.Errorf(core.KindFailed, "not now") }}
	files := newTestUser(t, startNode(t), core.RoleMember)
	ann := files.open(between(l))
	plans := NewRoom{ID: "plans", Encrypted: true}
	want(t, "creating it", second(ann.CreateRoom(ctx(t), plans)), core.KindFailed, nil)
	asked := must[roomState](t)(ann.dir.room("plans")).Founding
	ok(t, ann.Close())
	l.lie(func(l *lyingAPI) { l.lost = nil })
	ann = files.open(between(l))
	room := must[*Room](t)(ann.CreateRoom(ctx(t), plans))
	ok(t, room.Send(ctx(t), []byte("sealed")))
	var founding []byte
	room.members.use(func(m *seal.Membership) { founding = m.Statements(0)[0] })
	if len(asked) == 0 || string(founding) != string(asked) {
		t.Error("the room has another founding than the one that was asked for first")
	}
}

// TestRefusedCreation: a room that was asked for as encrypted, and that another user has, is
// plain only if the person accepts an invitation that says so.
func TestRefusedCreation(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	l := &lyingAPI{}
	ann, bob := newTestUser(t, n, core.RoleMember).open(), newTestUser(t, n, core.RoleMember).open(between(l))
	room := must[*Room](t)(ann.CreateRoom(ctx(t), NewRoom{ID: "plans"}))
	plans := NewRoom{ID: "plans", Encrypted: true}
	want(t, "another's room", second(bob.CreateRoom(ctx(t), plans)), core.KindExists, nil)
	if m := must[roomState](t)(bob.dir.room("plans")); !m.isEncrypted() || m.isSigned() {
		t.Errorf("of it is known: %+v", m)
	}
	join(t, room, bob)
	bobs := must[*Room](t)(bob.Room(ctx(t), "plans"))
	ok(t, bobs.Send(ctx(t), []byte("in the clear, as agreed")))
	l.lie(func(l *lyingAPI) {
		l.creates = &core.Room{ID: "plans", Owner: bob.User(), Encrypted: true, State: core.RoomActive}
	})
	want(t, "a plain room that is open", second(bob.CreateRoom(ctx(t), plans)), core.KindExists, nil)
	ok(t, bobs.Send(ctx(t), []byte("as before")))
}

// TestOneCallCreatesARoom: a second call cannot take back what the first has saved.
func TestOneCallCreatesARoom(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	l := &lyingAPI{lost: func() error { close(asked); <-answer; return nil }}
	ann := newTestUser(t, startNode(t), core.RoleMember).open(between(l))
	plans := NewRoom{ID: "plans", Encrypted: true}
	first := make(chan error, 1)
	go func() { first <- second(ann.CreateRoom(ctx(t), plans)) }()
	<-asked
	want(t, "a second call", second(ann.CreateRoom(ctx(t), plans)), core.KindConflict, nil)
	close(answer)
	ok(t, <-first)
	if m := must[roomState](t)(ann.dir.room("plans")); !m.isSigned() {
		t.Errorf("of it is known: %+v", m)
	}
}

// refusingAPI creates a room and says that it exists.
type refusingAPI struct{ *lyingAPI }

func (a *refusingAPI) CreateRoom(ctx context.Context, req control.CreateRequest) (core.Room, error) {
	_, _ = a.lyingAPI.CreateRoom(ctx, req)
	return core.Room{}, core.Errorf(core.KindExists, "there is a room %s already", req.ID)
}

// TestCreateOrOpen: a program creates the encrypted room "plans", or opens it if it exists,
// as programs do. The node creates it, says that it exists, and shows it as plain.
func TestCreateOrOpen(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	l := &refusingAPI{&lyingAPI{room: func(r *control.RoomInfo) { r.Room.Encrypted, r.Chain = false, nil }}}
	ann := newTestUser(t, n, core.RoleMember).open(func(c *Client) {
		c.wrap = func(a controlAPI) controlAPI { l.controlAPI = a; return l }
	})
	_, err := ann.CreateRoom(ctx(t), NewRoom{ID: "plans", Encrypted: true})
	want(t, "creating", err, core.KindExists, nil)
	want(t, "opening it", second(ann.Room(ctx(t), "plans")), core.KindRefused, seal.ErrRollback)
}
