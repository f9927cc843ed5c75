package kv

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// proxy carries one server's route to another, until it is cut.
type proxy struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newProxy(tb testing.TB, to string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mustDo(tb, err)
	p := &proxy{l: l, to: to, conns: map[net.Conn]bool{}}
	go p.serve()
	tb.Cleanup(func() {
		_ = l.Close()
		p.set(true)
	})
	return p
}

func (p *proxy) serve() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.DialTimeout("tcp", p.to, 5*time.Second)
		if err != nil {
			_ = in.Close()
			continue
		}
		if !p.keep(in, out) {
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				_, _ = io.Copy(way[0], way[1])
				_, _ = way[0].Close(), way[1].Close()
			}()
		}
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.cut {
			_ = c.Close()
		} else {
			p.conns[c] = true
		}
	}
	return !p.cut
}

func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut {
		for c := range p.conns {
			_ = c.Close()
		}
		clear(p.conns)
	}
}

// wires are the proxies between servers: wires[i][j] is i's way to j.
type wires [][]*proxy

// cut takes server i away from the others, without a word to anybody, or brings it back.
func (w wires) cut(i int, cut bool) {
	for j := range w {
		if j != i {
			w[i][j].set(cut)
			w[j][i].set(cut)
		}
	}
}

// wiredServers is a cluster of three whose routes can be cut.
func wiredServers(tb testing.TB) (tenant, wires) {
	tb.Helper()
	ports := freePorts(tb, 3)
	w := make(wires, 3)
	for i := range w {
		w[i] = make([]*proxy, 3)
		for j, port := range ports {
			if j != i {
				w[i][j] = newProxy(tb, fmt.Sprintf("127.0.0.1:%d", port))
			}
		}
	}
	s := &servers{dir: tb.TempDir()}
	for i := range w {
		s.nodes = append(s.nodes, startServerWith(tb, s.dir, i, ports, func(o *server.Options) {
			o.Routes = nil
			for _, p := range w[i] {
				if p != nil {
					o.Routes = append(o.Routes, server.RoutesFromStr("nats://"+p.l.Addr().String())...)
				}
			}
		}))
	}
	tb.Cleanup(s.stop)
	for _, n := range s.nodes {
		if !n.ReadyForConnections(20 * time.Second) {
			tb.Fatal("a test server did not start")
		}
	}
	return newTenant(tb, s), w
}
