package client

import (
	"context"
	"iter"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/nodetest"
)

// callsEndWithin bounds each call below. The contexts of the calls last longer.
const callsEndWithin = 3 * time.Second

// callMethod calls an exported method and reads the stream that it returns. It
// returns false for a method without an error, or else its error.
func callMethod(t *testing.T, of any, m reflect.Method) (ok bool, err error) {
	t.Helper()
	stream, end := context.WithTimeout(t.Context(), 100*time.Millisecond) // a stream of events lasts as long as its context
	defer end()
	type result struct {
		err error
		ok  bool
	}
	done := make(chan result, 1)
	go func() {
		args := []reflect.Value{reflect.ValueOf(of)}
		for i := 1; i < m.Type.NumIn(); i++ {
			if m.Type.IsVariadic() && i == m.Type.NumIn()-1 {
				break
			}
			args = append(args, argument(stream, t, m, i))
		}
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s panics: %v", m.Name, p)
				done <- result{}
			}
		}()
		var r result
		for _, out := range m.Func.Call(args) {
			v, isError := out.Interface().(error)
			if isError || out.Type() == reflect.TypeFor[error]() {
				r = result{v, true}
			}
			readAll(out.Interface())
		}
		done <- r
	}()
	select {
	case r := <-done:
		return r.ok, r.err
	case <-time.After(callsEndWithin):
		t.Errorf("%s does not return", m.Name)
		return false, nil
	}
}

// readAll reads a stream to its end.
func readAll(stream any) {
	switch v := stream.(type) {
	case iter.Seq[Event]:
		for range v { //nolint:revive // it is read to its end
		}
	case iter.Seq2[Message, error]:
		for _, err := range v {
			_ = err
		}
	case <-chan Delivery:
		for range v { //nolint:revive // it is read to its end
		}
	}
}

// argument is a valid argument of a method.
func argument(stream context.Context, t *testing.T, m reflect.Method, i int) reflect.Value {
	switch in := m.Type.In(i); {
	case in == reflect.TypeFor[context.Context]() && m.Type.NumOut() == 1 && m.Type.Out(0) != reflect.TypeFor[error]():
		return reflect.ValueOf(stream)
	case in == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(ctx(t))
	case in == reflect.TypeFor[core.RoomID]():
		return reflect.ValueOf(core.RoomID("plans"))
	case in == reflect.TypeFor[core.UserID]():
		return reflect.ValueOf(core.UserID(nodetest.Identity(t).Public()))
	case in == reflect.TypeFor[core.MemberRole]():
		return reflect.ValueOf(core.MemberAdmin)
	default:
		return reflect.Zero(in)
	}
}

// eachMethod calls f for every exported method but those of its name.
func eachMethod(of any, f func(reflect.Method), but ...string) {
	all := reflect.TypeOf(of)
next:
	for i := range all.NumMethod() {
		for _, name := range but {
			if all.Method(i).Name == name {
				continue next
			}
		}
		f(all.Method(i))
	}
}

// TestCallsOfAClientThatIsNotOpen: no method panics or waits before Open, after an
// Open that failed at any step, or after Close.
func TestCallsOfAClientThatIsNotOpen(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	all := func(what string, c *Client, kind core.Kind, cause error) {
		t.Helper()
		eachMethod(c, func(m reflect.Method) {
			if ok, err := callMethod(t, c, m); ok {
				want(t, m.Name+" "+what, err, kind, cause)
			}
		}, "Open", "Close")
	}
	all("before Open", New(newTestUser(t, n, core.RoleMember).cfg), core.KindInvalid, nil)

	never := New(newTestUser(t, n, core.RoleMember).cfg)
	ok(t, never.Close())
	all("after Close without Open", never, core.KindUnavailable, ErrClosed)

	for what, change := range map[string]func(*Config){
		"without servers":     func(c *Config) { c.Servers = nil },
		"with a missing seed": func(c *Config) { c.Seed += ".none" },
		"without a node":      func(c *Config) { c.Servers, c.Connect = []string{"nats://127.0.0.1:1"}, 200*time.Millisecond },
		"with another cluster": func(c *Config) {
			c.ClusterKey = must[string](t)(must[nkeys.KeyPair](t)(nkeys.CreateCluster()).PublicKey())
		},
		"with a locked directory": nil,
	} {
		p := newTestUser(t, n, core.RoleMember)
		if change == nil {
			p.open()
		} else {
			change(&p.cfg)
		}
		c := New(p.cfg)
		if err := c.Open(ctx(t)); err == nil {
			t.Errorf("it opens %s", what)
		}
		all("after an Open "+what, c, core.KindUnavailable, ErrClosed)
		ok(t, c.Close())
	}

	c := newTestUser(t, n, core.RoleMember).open()
	room := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{Encrypted: true}))
	ok(t, c.Close())
	all("after Close", c, core.KindUnavailable, ErrClosed)
	eachMethod(room, func(m reflect.Method) {
		if ok, err := callMethod(t, room, m); ok {
			want(t, "Room."+m.Name+" after Client.Close", err, core.KindUnavailable, ErrClosed)
		}
	}, "Close")
	ok(t, room.Close())
}

// TestCallsOfAClosedRoom: no method of a room panics or waits after Room.Close.
func TestCallsOfAClosedRoom(t *testing.T) {
	t.Parallel()
	c := newTestUser(t, startNode(t), core.RoleMember).open()
	for _, encrypted := range []bool{false, true} {
		room := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{Encrypted: encrypted}))
		ok(t, room.Close())
		eachMethod(room, func(m reflect.Method) { _, _ = callMethod(t, room, m) })
	}
}
