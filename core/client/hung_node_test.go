package client

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
)

// pipe is a proxy between a client and a node. It can stop forwarding, as if the node hung.
type pipe struct {
	addr string

	mu   sync.Mutex
	hung chan struct{} // closed while it forwards
}

func newPipe(t *testing.T, to string) *pipe {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	p := &pipe{addr: l.Addr().String(), hung: make(chan struct{})}
	close(p.hung)
	var all sync.WaitGroup
	end := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		close(end)
		all.Wait()
	})
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.DialTimeout("tcp", to, 5*time.Second)
			if err != nil {
				_ = in.Close()
				return
			}
			all.Go(func() { p.pass(in, out, end) })
			all.Go(func() { p.pass(out, in, end) })
		}
	})
	return p
}

func (p *pipe) pass(from, to net.Conn, end <-chan struct{}) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 1<<16)
	for {
		p.mu.Lock()
		goes := p.hung
		p.mu.Unlock()
		select {
		case <-goes:
		case <-end:
			return
		}
		_ = from.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := from.Read(buf)
		if _, e := to.Write(buf[:n]); e != nil {
			return
		}
		if e, timeout := err.(net.Error); err == io.EOF || err != nil && !(timeout && e.Timeout()) {
			return
		}
	}
}

// hang stops it, for new connections too.
func (p *pipe) hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = make(chan struct{})
}

// TestHungNode: a node that reads nothing any more does not block Send, requests
// and Close for long.
func TestHungNode(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	files := newTestUser(t, n, core.RoleMember)
	p := newPipe(t, strings.TrimPrefix(n.URL(0), "nats://"))
	files.cfg.Servers = []string{"nats://" + p.addr}
	c := files.open()
	room := must[*Room](t)(c.CreateRoom(ctx(t), NewRoom{}))
	p.hang()
	short, cancel := context.WithTimeout(ctx(t), time.Second)
	defer cancel()
	within := func(what string, do func() error) {
		t.Helper()
		begin := time.Now()
		err := do()
		if took := time.Since(begin); took > wait {
			t.Errorf("%s took %s, and %v", what, took, err)
		}
	}
	var last error
	within("sending", func() error {
		for range 200 { // more than the buffers between the two hold
			if last = room.Send(short, make([]byte, 1<<19)); last != nil {
				return last
			}
		}
		return nil
	})
	want(t, "sending", last, core.KindUnavailable, ErrOffline)
	within("asking", func() error { return second(c.Rooms(short)) })
	within("closing", c.Close)
}
