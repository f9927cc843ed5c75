package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
	"unibus/core/request"
	"unibus/core/store/kv"
	"unibus/core/store/storetest"
)

// world is a service in front of real buckets of one server.
type world struct {
	*Service
	server  *server.Server
	store   *kv.Store
	holder  core.StoreHandle
	now     atomic.Int64
	onWrite atomic.Pointer[func(bucket, key string) error]
	audit   book

	admin, owner, member, other core.UserID
}

// open lets every request through: signatures and replay are core/auth's.
type open struct{}

func (open) Admit(context.Context, string, string, map[string][]string, []byte, bool) error {
	return nil
}

// book is an audit that writes down what comes when.
type book struct {
	mu    sync.Mutex
	lines []string
	fails error
}

func (b *book) add(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprintf(format, args...))
}

// Begin records an intent.
func (b *book) Begin(_ context.Context, in AuditIntent) (func(context.Context, error), error) {
	b.add("intent %s %s %s %v", in.By.ID, in.Verb, in.Args, in.WorksWithoutQuorum)
	if b.fails != nil {
		return nil, b.fails
	}
	return func(_ context.Context, result error) { b.add("outcome %v", result) }, nil
}

// prover is a cluster that knows every channel as its own.
func prover(t testing.TB) auth.Prover {
	t.Helper()
	_, key, err := keys.GenerateCluster()
	if err != nil {
		t.Fatal(err)
	}
	return auth.Prover{Key: func() (auth.Signer, bool) { return key, true }, IsClusterChannel: func(auth.Channel) bool { return true }}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	srv, err := server.NewServer(&server.Options{ServerName: "n1", DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	w := &world{server: srv}
	w.store = kv.New(kv.Config{Conn: nc, Replicas: 1, Timeout: 5 * time.Second, OnWrite: func(bucket, key string) error {
		if f := w.onWrite.Load(); f != nil {
			return (*f)(bucket, key)
		}
		return nil
	}})
	t.Cleanup(func() { _ = w.store.Close() })
	if err := errors.Join(w.store.Open(t.Context()), w.store.OpenFor(t.Context(), core.Authority{Backend: core.BackendNone})); err != nil {
		t.Fatal(err)
	}
	w.holder.Publish(w.store)
	w.Service = NewService(Config{
		Conn: nc, Node: "n1", Store: &w.holder, Guard: open{}, Prover: prover(t), Now: func() core.Millis { return core.Millis(w.now.Add(1)) },
		EndSessions: func(context.Context, core.User) map[string]Ended { return nil }, Note: func(core.UserID, string) {},
		Audit: &w.audit,
	})
	t.Cleanup(func() { _ = w.Service.Close() })
	w.admin = w.addUser(t, core.RoleAdmin)
	w.owner, w.member, w.other = w.addUser(t, ""), w.addUser(t, ""), w.addUser(t, "")
	return w
}

func (w *world) addUser(t testing.TB, role core.UserRole) core.UserID {
	t.Helper()
	u := storetest.NewUser(t, "user")
	if role != "" {
		u.Role = role
	}
	if err := w.store.AddUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u.ID
}

// do asks as a user, as the message would.
func (w *world) do(by core.UserID, m Method, req any) (any, error) {
	inner, _ := json.Marshal(req)
	body, _ := json.Marshal(question{V: version, Req: inner})
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	return w.answer(ctx, m, Rules()[m], w.methods()[m], request.Call{Caller: string(by), Subject: Subject(string(by), m), Body: body})
}

// client asks over the wire, as one of the users.
func (w *world) client(t testing.TB, by core.UserID) *Client {
	t.Helper()
	if err := w.Service.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Service.Close() })
	nc, err := nats.Connect("", nats.InProcessServer(w.server), nats.CustomInboxPrefix(auth.InboxPrefix(string(by))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return NewClient(ClientConfig{Conn: nc, Identity: signer(by)})
}

// signer signs nothing: every request is let through here.
type signer string

func (s signer) Public() string            { return string(s) }
func (signer) Sign([]byte) ([]byte, error) { return make([]byte, 64), nil }

func (w *world) must(t testing.TB, by core.UserID, m Method, req any) any {
	t.Helper()
	out, err := w.do(by, m, req)
	if err != nil {
		t.Fatalf("%s: %v", m, err)
	}
	return out
}

// join invites somebody and has them accept.
func (w *world) join(t testing.TB, by core.UserID, room string, user core.UserID) {
	t.Helper()
	w.must(t, by, methodInvite, inviteRequest{Room: room, User: string(user)})
	w.must(t, user, methodAccept, roomRequest{room})
}

// room makes an encrypted room of owner, with member in it where that is asked for.
func (w *world) room(t testing.TB, withMember bool) string {
	t.Helper()
	id := string(NewRoomID())
	w.must(t, w.owner, methodRoomCreate, CreateRequest{ID: id, Encrypted: true})
	if withMember {
		w.join(t, w.owner, id, w.member)
	}
	return id
}

func wantKind(t testing.TB, what string, err error, want core.Kind) {
	t.Helper()
	if got := core.KindOf(err); got != want {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}
