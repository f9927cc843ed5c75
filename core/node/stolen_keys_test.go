package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// thief holds one stolen key, and tries every use of it.
type thief struct {
	t      *testing.T
	c      *nodetest.Cluster
	victim person      // is in the encrypted room "others" alone, and has its key
	room   core.RoomID // of the key's owner, if users have that kind of key
	person
	op *admin.Client // nil: the key does not open the operators' service
}

func (h thief) publish(subject string) bool { return mayPublish(h.t, h.Conn, subject) }

func (h thief) subscribe(subject string) bool {
	h.t.Helper()
	before := h.Conn.LastError()
	sub, err := h.Conn.SubscribeSync(subject)
	if err = errors.Join(err, h.Conn.FlushTimeout(10*time.Second)); err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	return h.Conn.LastError() == before //nolint:errorlint // each refusal is an error value of its own
}

// try does one act. A refusal by the server comes beside the request, and ends the
// wait for an answer; an act that nobody answered has not succeeded.
func (h thief) try(act func(ctx context.Context) error) bool {
	h.t.Helper()
	before := h.Conn.LastError()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- act(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err == nil && h.Conn.LastError() == before //nolint:errorlint // each refusal is an error value of its own
		case <-tick.C:
			if h.Conn.LastError() != before { //nolint:errorlint // as above
				cancel()
			}
		}
	}
}

// ask sends a plain NATS request; it is true if an answer comes.
func (h thief) ask(subject string) bool {
	h.t.Helper()
	return h.try(func(ctx context.Context) error {
		_, err := h.Conn.RequestWithContext(ctx, subject, nil)
		return err
	})
}

// operate uses the operators' service.
func (h thief) operate(act func(ctx context.Context) error) bool {
	return h.op != nil && act(h.t.Context()) == nil
}

// receivesReplies subscribes to the replies to the victim, and is true if one comes.
// The operators of NATS' own tools have an account each: they may subscribe, and
// nobody's answers are there.
func (h thief) receivesReplies() bool {
	h.t.Helper()
	sub, err := h.Conn.SubscribeSync("_INBOX." + string(h.victim.user()) + ".>")
	if err = errors.Join(err, h.Conn.FlushTimeout(10*time.Second)); err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if _, err := h.victim.Rooms(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	_, err = sub.NextMsg(200 * time.Millisecond)
	return err == nil
}

// acts is everything that a thief tries, by the words of SECURITY.md.
func acts() map[string]func(h thief) bool {
	return map[string]func(h thief) bool{
		"speak in the owner's rooms":   func(h thief) bool { return h.publish("unibus.room." + string(h.room) + "." + h.Public()) },
		"read the owner's plain rooms": func(h thief) bool { return h.subscribe("unibus.room." + string(h.room) + ".*") },
		"speak as somebody else":       func(h thief) bool { return h.publish("unibus.room." + string(h.room) + "." + string(h.victim.user())) },
		"speak as the service":         func(h thief) bool { return h.publish(control.EventSubject(h.room)) },
		"read other rooms":             func(h thief) bool { return h.subscribe("unibus.room.others.*") },
		"read answers to others":       thief.receivesReplies,
		"invite users to the owner's rooms": func(h thief) bool {
			return h.try(func(ctx context.Context) error { _, err := h.Invite(ctx, h.room, h.victim.user(), "", nil); return err })
		},
		"read the members of other rooms": func(h thief) bool {
			return h.try(func(ctx context.Context) error { _, err := h.Members(ctx, "others", true); return err })
		},
		"read a key of other rooms": func(h thief) bool {
			return h.try(func(ctx context.Context) error { _, err := h.Key(ctx, "others", 1); return err })
		},
		"add users by the rooms' service": func(h thief) bool {
			return h.try(func(ctx context.Context) error {
				_, err := h.AddUser(ctx, control.AddUserRequest{User: nodetest.Identity(h.t).Public()})
				return err
			})
		},
		"read the cluster's state": func(h thief) bool {
			return h.operate(func(ctx context.Context) error { _, err := h.op.Status(ctx); return err })
		},
		"add users by the operators' service": func(h thief) bool {
			return h.operate(func(ctx context.Context) error {
				_, err := h.op.UserAdd(ctx, core.User{ID: core.UserID(nodetest.Identity(h.t).Public())})
				return err
			})
		},
		"remove their own operator": func(h thief) bool {
			return h.operate(func(ctx context.Context) error { _, err := h.op.OperatorRemove(ctx, h.Public()); return err })
		},
		"read the servers' state":     func(h thief) bool { return h.ask("$SYS.REQ.SERVER.PING.VARZ") },
		"read buckets":                func(h thief) bool { return h.ask("CTL.API.STREAM.INFO.KV_UNIBUS_users") },
		"read buckets as a node does": func(h thief) bool { return h.ask("$JS.API.STREAM.INFO.KV_UNIBUS_users") },
		"write buckets":               func(h thief) bool { return h.publish("$KV.UNIBUS_users." + string(h.victim.user())) },
		"delete buckets":              func(h thief) bool { return h.ask("$JS.API.STREAM.DELETE.KV_UNIBUS_users") },
		"delete the audit":            func(h thief) bool { return h.ask("CTL.API.STREAM.PURGE.UNIBUS_audit") },
	}
}

// stolenKeys says of each kind of key what a thief can do with it; all other acts fail.
func stolenKeys() map[string][]string {
	user := []string{"speak in the owner's rooms", "read the owner's plain rooms", "invite users to the owner's rooms"}
	return map[string][]string{
		"user":       user,
		"user-admin": append([]string{"add users by the rooms' service", "read the members of other rooms"}, user...),
		"viewer":     {"read the cluster's state"},
		"admin":      {"read the cluster's state", "add users by the operators' service"},
		"system":     {"read the servers' state"},
		"auditor":    {"read buckets"},
		"stranger":   {}, // a key that nobody knows does not even connect
	}
}

// TestStolenKeys plays what a stolen key of each kind can and cannot do, against
// a real cluster: the table is the one of SECURITY.md.
func TestStolenKeys(t *testing.T) {
	t.Parallel()
	system, auditor := nodetest.Identity(t), nodetest.Identity(t)
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, Operators: []core.Operator{
		operator(system, core.OperatorSystem, "sys"), operator(auditor, core.OperatorAuditor, "aud"),
	}})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	users := people(t, c, 3)
	chief, victim, plain := users[0], users[1], users[2]
	others := fine[core.Room](t)(victim.CreateRoom(t.Context(), control.CreateRequest{ID: "others", Encrypted: true}))
	victim.over(t, 10*time.Second)
	victim = arrive(t, c, 1, victim.Identity)
	fine[core.Room](t)(victim.Rekey(t.Context(), recordOf(others, "00000000000000a1"), boxesFor(victim)))
	held := map[string]keys.Identity{
		"user": plain.Identity, "user-admin": chief.Identity, "viewer": c.Viewer, "admin": c.Admin, "system": system, "auditor": auditor, "stranger": nodetest.Identity(t),
	}
	for kind, may := range stolenKeys() {
		t.Run(kind, func(t *testing.T) {
			nc, err := c.Connect(0, held[kind])
			if err != nil {
				if len(may) > 0 {
					t.Fatalf("the key does not connect: %v", err)
				}
				return
			}
			nc.Close()
			if len(may) == 0 {
				t.Fatal("the key connects")
			}
			room := core.RoomID("own-" + kind)
			if kind == "user" || kind == "user-admin" {
				owner := arrive(t, c, 1, held[kind])
				fine[core.Room](t)(owner.CreateRoom(t.Context(), control.CreateRequest{ID: string(room)}))
				owner.over(t, 10*time.Second)
			}
			rob(t, c, held[kind], victim, room, may)
		})
	}
}

// rob tries every act with one key.
func rob(t *testing.T, c *nodetest.Cluster, id keys.Identity, victim person, room core.RoomID, may []string) {
	t.Helper()
	cl := admin.NewClient(admin.ClientConfig{Servers: []string{c.URL(1)}, Identity: id, Connect: 10 * time.Second})
	t.Cleanup(cl.Close)
	h := thief{t: t, c: c, victim: victim, room: room, person: arrive(t, c, 1, id), op: cl}
	if err := cl.Open(t.Context()); err != nil {
		h.op = nil
	}
	for name, act := range acts() {
		if got, want := act(h), slices.Contains(may, name); got != want {
			t.Errorf("%q succeeds: %v, want %v", name, got, want)
		}
	}
	if !h.Conn.IsConnected() {
		t.Error("the connection was closed meanwhile, so that an act that failed says nothing")
	}
}
