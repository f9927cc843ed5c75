package client

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// lyingAPI is a control service that shows something else than it has.
type lyingAPI struct {
	controlAPI

	mu         sync.Mutex
	room       func(*control.RoomInfo)
	key        func(*control.Key) error
	epochs     func(*control.Epochs)
	members    func([]control.Member) []control.Member
	profile    func(*control.Profile)
	chain      func(*control.Statements)
	founding   func() (control.Statements, error) // instead of the statements
	statements func(control.StatementsRequest, *control.Statements)
	append     func([][]byte) (control.ChainHead, error) // instead of the node
	invited    func(*control.Invitation)
	refuses    error // the answer to every request about rooms
	creates    *core.Room
	lost       func() error // the error instead of an answer to creating a room; nil for an answer
	broken     error        // the answer to every request about epochs
	asked      int          // requests for one member
	looks      int          // requests for the room
	rekeys     func() error
}

// lie changes the answers from now on.
func (l *lyingAPI) lie(f func(l *lyingAPI)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

func (l *lyingAPI) Room(ctx context.Context, id core.RoomID) (control.RoomInfo, error) {
	out, err := l.controlAPI.Room(ctx, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	if l.refuses != nil {
		return control.RoomInfo{}, l.refuses
	}
	if l.room != nil && err == nil {
		l.room(&out)
	}
	return out, err
}

func (l *lyingAPI) Rooms(ctx context.Context) ([]core.Room, error) {
	out, err := l.controlAPI.Rooms(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses != nil {
		return nil, l.refuses
	}
	return out, err
}

func (l *lyingAPI) CreateRoom(ctx context.Context, req control.CreateRequest) (core.Room, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.creates != nil {
		return *l.creates, nil
	}
	if l.lost != nil {
		if err := l.lost(); err != nil {
			return core.Room{}, err
		}
	}
	return l.controlAPI.CreateRoom(ctx, req)
}

func (l *lyingAPI) Key(ctx context.Context, id core.RoomID, e core.Epoch) (control.Key, error) {
	out, err := l.controlAPI.Key(ctx, id, e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil && err == nil {
		err = l.key(&out)
	}
	return out, err
}

func (l *lyingAPI) Epochs(ctx context.Context, req control.EpochsRequest) (control.Epochs, error) {
	out, err := l.controlAPI.Epochs(ctx, req)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return control.Epochs{}, l.broken
	}
	if l.epochs != nil && err == nil {
		l.epochs(&out)
	}
	return out, err
}

func (l *lyingAPI) Members(ctx context.Context, id core.RoomID, keys bool) ([]control.Member, error) {
	out, err := l.controlAPI.Members(ctx, id, keys)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members != nil && err == nil {
		out = l.members(out)
	}
	return out, err
}

func (l *lyingAPI) Member(ctx context.Context, id core.RoomID, user core.UserID, keys bool) (control.Member, error) {
	out, err := l.controlAPI.Member(ctx, id, user, keys)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.members == nil || err != nil {
		return out, err
	}
	if all := l.members([]control.Member{out}); len(all) == 1 {
		return all[0], nil
	}
	return control.Member{}, core.Errorf(core.KindNotFound, "no such member")
}

func (l *lyingAPI) Rekey(ctx context.Context, record core.EpochRecord, boxes []core.SealedKey) (core.Room, error) {
	l.mu.Lock()
	rekeys := l.rekeys
	l.mu.Unlock()
	if rekeys != nil {
		if err := rekeys(); err != nil {
			return core.Room{}, err
		}
	}
	return l.controlAPI.Rekey(ctx, record, boxes)
}

func (l *lyingAPI) Statements(ctx context.Context, req control.StatementsRequest) (control.Statements, error) {
	out, err := l.controlAPI.Statements(ctx, req)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.founding != nil {
		return l.founding()
	}
	if l.chain != nil && err == nil {
		l.chain(&out)
	}
	if l.statements != nil && err == nil {
		l.statements(req, &out)
	}
	return out, err
}

func (l *lyingAPI) AppendStatements(ctx context.Context, id core.RoomID, signed ...[]byte) (control.ChainHead, error) {
	l.mu.Lock()
	instead := l.append
	l.mu.Unlock()
	if instead != nil {
		return instead(signed)
	}
	return l.controlAPI.AppendStatements(ctx, id, signed...)
}

func (l *lyingAPI) Invitations(ctx context.Context) ([]control.Invitation, error) {
	out, err := l.controlAPI.Invitations(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range out {
		if l.invited != nil {
			l.invited(&out[i])
		}
	}
	return out, err
}

func (l *lyingAPI) User(ctx context.Context, user core.UserID) (control.Profile, error) {
	out, err := l.controlAPI.User(ctx, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.profile != nil && err == nil {
		l.profile(&out)
	}
	return out, err
}

// between puts a lyingAPI between a client and the service.
func between(l *lyingAPI) func(*Client) {
	return func(c *Client) {
		c.wrap = func(p controlAPI) controlAPI {
			l.controlAPI = p
			return l
		}
	}
}

// pair is ann, and bob with a lyingAPI, in one encrypted room at epoch 2.
type pair struct {
	ann, bob   *Client
	room, bobs *Room
	liar       *lyingAPI
	events     <-chan Event
	annFiles   testUser
	bobFiles   testUser
	cluster    *nodetest.Cluster
}

func newPair(t *testing.T, change ...func(bob *Client)) *pair {
	t.Helper()
	n := startNode(t)
	p := &pair{liar: &lyingAPI{}, cluster: n, annFiles: newTestUser(t, n, core.RoleMember), bobFiles: newTestUser(t, n, core.RoleMember)}
	p.ann, p.bob = p.annFiles.open(), p.bobFiles.open(append(change, between(p.liar))...)
	p.room = must[*Room](t)(p.ann.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	join(t, p.room, p.bob)
	awaitKeys(t, p.room)
	ok(t, p.room.Rekey(ctx(t)))
	p.bobs = must[*Room](t)(p.bob.Room(ctx(t), p.room.ID()))
	p.at(t, 2)
	p.events = eventsOf(t, p.bob)
	return p
}

// at waits until bob is at an epoch.
func (p *pair) at(t *testing.T, e core.Epoch) {
	t.Helper()
	isAt(t, p.bobs, e)
}

func isAt(t *testing.T, r *Room, e core.Epoch) {
	t.Helper()
	nodetest.Wait(t, wait, func() error {
		if at, _ := r.Epoch(); at != e {
			return core.Errorf(core.KindConflict, "%s is at epoch %d, not %d", r.c.me.Short(), at, e)
		}
		return nil
	})
}

// caught waits until bob has detected a lie, and checks that nothing is sent.
func (p *pair) caught(t *testing.T, want seal.Fault) {
	t.Helper()
	p.bobs.wake()
	awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, want) })
	if err := p.bobs.Send(ctx(t), []byte("x")); !errors.Is(err, want) {
		t.Errorf("sending in spite of it: %v, want %v", err, want)
	}
}

// stranger is an identity that the servers invented, and a record of it.
func (p *pair) stranger(t *testing.T, prev *seal.EpochKey) (keys.Identity, seal.Rekeyed) {
	t.Helper()
	id := nodetest.Identity(t)
	kem := must[*seal.KEM](t)(seal.NewKEM())
	own := must[seal.KEMKey](t)(seal.ParseKEMKey(core.UserID(id.Public()), must[[]byte](t)(kem.Publish(id, 1))))
	made := must[seal.Rekeyed](t)(seal.MakeRecord(seal.RecordConfig{
		Room: p.room.ID(), Epoch: prev.Record().Epoch + 1, Rec: seal.NewRec(), Key: seal.NewRoomKey(),
		Members: []seal.KEMKey{own, p.bob.ownKey()}, By: id, At: 1, Reason: seal.ReasonOther, Prev: record(prev),
	}))
	return id, made
}

func record(k *seal.EpochKey) *seal.Record {
	r := k.Record()
	return &r
}

// TestLies: each lie of a node about a room is detected, with the error that names it.
func TestLies(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for name, c := range map[string]struct {
		lie  func(t *testing.T, p *pair)
		want seal.Fault
	}{
		"an older epoch": {func(_ *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Epoch-- } })
		}, seal.ErrRollback},
		"not encrypted": {func(_ *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Encrypted = false } })
		}, seal.ErrRollback},
		"another record of the epoch": {func(_ *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.room = func(r *control.RoomInfo) { r.Room.Rec = "0123456789abcdef" } })
		}, seal.ErrFork},
		"a record is left out": {func(t *testing.T, p *pair) {
			out, _ := p.bobs.Epoch()
			p.liar.lie(func(l *lyingAPI) {
				l.epochs = func(e *control.Epochs) {
					e.Records = slices.DeleteFunc(e.Records, func(r core.EpochRecord) bool { return r.Epoch == out+1 })
				}
			})
			rekeyTwice(t, p)
		}, seal.ErrGap},
		"all records are left out": {func(t *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) { l.epochs = func(e *control.Epochs) { e.Records, e.Next = nil, nil } })
			ok(t, p.room.Rekey(ctx(t)))
		}, seal.ErrGap},
		"an altered record": {func(t *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) {
				l.epochs = func(e *control.Epochs) {
					e.Records[0].Record = bytes.Clone(e.Records[0].Record)
					e.Records[0].Record[len(e.Records[0].Record)-1] ^= 1
				}
			})
			ok(t, p.room.Rekey(ctx(t)))
		}, seal.ErrRecord},
		"a record of a user of its own": {func(t *testing.T, p *pair) {
			_, made := p.stranger(t, p.bobs.key(t))
			p.liar.lie(func(l *lyingAPI) {
				l.epochs = func(e *control.Epochs) { e.Records, e.Next = []core.EpochRecord{made.Record}, nil }
				l.room = func(r *control.RoomInfo) { r.Room.Epoch, r.Room.Rec = made.Record.Epoch, made.Record.Rec }
			})
		}, seal.ErrRollback}, // it names no members; where nobody signs, the link tells (core/seal)
		"another box": {func(t *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) {
				l.key = func(k *control.Key) error {
					k.Key.Box = bytes.Clone(k.Key.Box)
					k.Key.Box[100] ^= 1
					return nil
				}
			})
			ok(t, p.room.Rekey(ctx(t)))
		}, seal.ErrBox},
		"the box of another epoch": {func(t *testing.T, p *pair) {
			old := must[control.Key](t)(p.bob.api.Key(ctx(t), p.room.ID(), 1))
			p.liar.lie(func(l *lyingAPI) {
				l.key = func(k *control.Key) error { k.Key.Box = old.Key.Box; return nil }
			})
			ok(t, p.room.Rekey(ctx(t)))
		}, seal.ErrBox},
		"another's box": {func(t *testing.T, p *pair) {
			p.liar.lie(func(l *lyingAPI) {
				l.key = func(k *control.Key) error { k.Key.User = p.ann.User(); return nil }
			})
			ok(t, p.room.Rekey(ctx(t)))
		}, seal.ErrBox},
	} {
		t.Run(name, func(t *testing.T) {
			c.lie(t, p)
			p.caught(t, c.want)
			// The room recovers once the answers are true again.
			p.liar.lie(func(l *lyingAPI) { l.room, l.key, l.epochs, l.members, l.profile = nil, nil, nil, nil, nil })
			heard := p.room.Chan(t.Context())
			p.bobs.wake()
			nodetest.Wait(t, wait, p.bobs.Err)
			ok(t, p.bobs.Send(ctx(t), []byte("in order")))
			receiveText(t, heard, "in order")
		})
	}
}

// rekeyTwice makes two keys before bob reads the room.
func rekeyTwice(t *testing.T, p *pair) {
	t.Helper()
	defer stall(t, p.bobs)()
	ok(t, p.room.Rekey(ctx(t)))
	ok(t, p.room.Rekey(ctx(t)))
}

// TestLiesAboutMembers: a KEM key that is not a member's, or an older one, gets
// no box, and the rekey counts nevertheless.
func TestLiesAboutMembers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ok(t, p.bobs.Rekey(ctx(t))) // bob knows ann's key from now on
	for name, c := range map[string]struct {
		lie  func(t *testing.T, p *pair) func(*control.Member)
		want seal.Fault
	}{
		"another's key": {func(t *testing.T, p *pair) func(*control.Member) {
			mine := must[control.Profile](t)(p.bob.Profile(ctx(t), p.bob.User())).KEMKey
			return func(m *control.Member) { m.KEMKey = mine }
		}, seal.ErrKey},
		"an older key": {func(t *testing.T, p *pair) func(*control.Member) {
			old := must[[]byte](t)(must[*seal.KEM](t)(seal.NewKEM()).Publish(p.ann.id, 1))
			return func(m *control.Member) { m.KEMKey = old }
		}, seal.ErrRollback},
		"no key any more": {func(*testing.T, *pair) func(*control.Member) {
			return func(m *control.Member) { m.KEMKey = nil }
		}, seal.ErrRollback},
		"what is no key": {func(*testing.T, *pair) func(*control.Member) {
			return func(m *control.Member) { m.KEMKey = []byte("key") }
		}, seal.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := p.bobs.Epoch()
			change := c.lie(t, p)
			p.liar.lie(func(l *lyingAPI) {
				l.members = func(all []control.Member) []control.Member {
					for i := range all {
						if all[i].User == p.ann.User() {
							change(&all[i])
						}
					}
					return all
				}
			})
			ok(t, p.bobs.Rekey(ctx(t)))
			awaitEvent(t, p.events, func(e Suspicion) bool { return errors.Is(e.Err, c.want) })
			if at, _ := p.bobs.Epoch(); at != before+1 {
				t.Errorf("bob is at epoch %d, from %d", at, before)
			}
			want(t, "ann's box of it", second(p.ann.api.Key(ctx(t), p.room.ID(), before+1)), core.KindNotFound, nil)
			p.liar.lie(func(l *lyingAPI) { l.members = nil })
			p.room.wake()
			heard := p.bobs.Chan(t.Context())
			isAt(t, p.room, before+1) // or she sends in the epoch before
			ok(t, p.room.Send(ctx(t), []byte("she asked for it")))
			receiveText(t, heard, "she asked for it")
		})
	}
}

func second[T any](_ T, err error) error { return err }

// TestOwnKeyPutRight: if a node shows another key of this user than its own, the client publishes its own again.
func TestOwnKeyPutRight(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	files := newTestUser(t, n, core.RoleMember)
	ok(t, files.open().Close())
	for name, change := range map[string]func(*control.Profile){
		"another": func(p *control.Profile) { p.KEMKey = bytes.Repeat([]byte{1}, seal.KEMKeySize) },
		"none":    func(p *control.Profile) { p.KEMKey = nil },
	} {
		l := &lyingAPI{profile: change}
		c := files.open(between(l))
		got := must[control.Profile](t)(l.controlAPI.User(ctx(t), c.User()))
		k := must[seal.KEMKey](t)(seal.ParseKEMKey(c.User(), got.KEMKey))
		if k.Hash != c.kem.Hash() {
			t.Errorf("%s: the published key is not this user's", name)
		}
		ok(t, c.Close())
	}
}

// key is the present key of a room.
func (r *Room) key(t *testing.T) (key *seal.EpochKey) {
	t.Helper()
	ok(t, runJob(t, r, func(_ context.Context, w *reconciler) error {
		key = w.key
		return nil
	}))
	return key
}
