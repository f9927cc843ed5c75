package bus_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

// halfHello is the start of a ClientHello.
const halfHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

// idleSocket opens a connection that never sends credentials: silent after the
// server's INFO, or stuck in the middle of a TLS handshake.
func idleSocket(addr, source string, halfOpen bool) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err = c.Read(make([]byte, 4096)); err == nil && halfOpen {
		_, err = c.Write([]byte(halfHello))
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// holdSockets keeps n connections without credentials open until the test ends,
// and replaces each one as soon as the server closes it.
func holdSockets(t testing.TB, addr string, n int, sources ...string) {
	t.Helper()
	stop := make(chan struct{})
	var all, first sync.WaitGroup
	first.Add(n)
	for i := range n {
		all.Go(func() { holdSocket(addr, sources[i%len(sources)], i%2 == 1, first.Done, stop) })
	}
	t.Cleanup(func() {
		close(stop)
		all.Wait()
	})
	first.Wait()
}

func holdSocket(addr, source string, halfOpen bool, opened func(), stop <-chan struct{}) {
	once := sync.OnceFunc(opened)
	defer once()
	for !stopped(stop) {
		c, err := idleSocket(addr, source, halfOpen)
		once()
		if err != nil {
			continue
		}
		waitClosed(c, stop)
	}
}

// waitClosed returns when the server has closed the connection, or the test stops.
func waitClosed(c net.Conn, stop <-chan struct{}) {
	defer func() { _ = c.Close() }()
	for {
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := c.Read(make([]byte, 64))
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() { //nolint:errorlint // a read returns it as it is
			return
		}
		if stopped(stop) {
			return
		}
	}
}

// TestSocketsWithoutCredentialsTakeNoSlots: sockets are silent, or stop in the middle
// of the handshake, and reconnect as fast as they are closed. They keep neither
// operators nor users out, from one address or from several.
func TestSocketsWithoutCredentialsTakeNoSlots(t *testing.T) {
	t.Parallel()
	for name, sources := range map[string][]string{
		"one address":         {"127.0.0.9"},
		"the clients' own":    {"127.0.0.1"},
		"forty-two addresses": addresses(42),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFixture(t, core.BusAuthEnforce)
			cfg := r.config(t, "n1")
			cfg.Limits = bus.Limits{Connections: 64}
			s := r.open(t, cfg)
			holdSockets(t, s.Addr(), 120, sources...)
			start := time.Now()
			for i := range 30 {
				id := r.a
				if i%3 == 0 {
					id = r.admin
				}
				if nc, err := r.dial(t, s, id, nats.Timeout(2*time.Second)); err != nil {
					t.Errorf("connection %d: %v", i+1, err)
				} else if err := nc.Flush(); err != nil {
					t.Errorf("connection %d: %v", i+1, err)
				}
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("10 operators and 20 users connected in %s", took)
			}
		})
	}
}

func addresses(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("127.0.0.%d", 10+i))
	}
	return out
}

// TestUsersLeaveTheOperatorsSlots: users fill their share, and operators still connect.
func TestUsersLeaveTheOperatorsSlots(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	log, lines := logLines()
	cfg := r.config(t, "n1")
	cfg.Limits, cfg.Logger = bus.Limits{Connections: 16}, log
	s := r.open(t, cfg)
	var users []*nats.Conn
	for range 12 {
		users = append(users, r.mustDial(t, s, r.a))
	}
	if _, err := r.dial(t, s, r.b); !errors.Is(err, nats.ErrMaxAccountConnectionsExceeded) {
		t.Errorf("a user where only the connections reserved for operators are free: %v", err)
	}
	if !strings.Contains(lines(), "--max-connections") {
		t.Errorf("no line says why:\n%s", lines())
	}
	for range 4 {
		r.mustDial(t, s, r.viewer)
	}
	if _, err := r.dial(t, s, r.admin); err == nil {
		t.Error("an operator connected beyond --max-connections")
	}
	users[0].Close()
	eventually(t, "a user's connection to become free", func() bool {
		_, err := r.dial(t, s, r.b)
		return err == nil
	})
	if nc, err := s.InProcess(r.system); err != nil {
		t.Errorf("a full node refuses its own connection: %v", err)
	} else {
		nc.Close()
	}
}

// TestAddressLimitCountsFromAcceptOn: connections without credentials count for
// their address, the oldest are closed, and the address can still connect.
func TestAddressLimitCountsFromAcceptOn(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.Limits = bus.Limits{Connections: 64, PerAddress: 3, AuthTimeout: time.Minute}
	s := r.open(t, cfg)
	var idle []net.Conn
	for i := range 6 {
		c, err := idleSocket(s.Addr(), "127.0.0.1", i%2 == 1)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		idle = append(idle, c)
	}
	for i, c := range idle[:3] {
		must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		if _, err := c.Read(make([]byte, 64)); isTimeout(err) {
			t.Errorf("connection %d, of the oldest three, stays", i+1)
		}
	}
	for i, c := range idle[3:] {
		must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		if _, err := c.Read(make([]byte, 64)); !isTimeout(err) {
			t.Errorf("connection %d, of the newest three, was closed: %v", i+4, err)
		}
	}
	r.mustDial(t, s, r.a)
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // a read returns it as it is
	return ok && ne.Timeout()
}

// BenchmarkOperatorsUnderFlood measures how long an operator waits for a connection at
// the default limits. Meanwhile another process holds more sockets without credentials
// than there are connections, and opens one again as soon as the server closes it. Both
// processes need 20,000 open files.
//
//	go test -run '^$' -bench OperatorsUnderFlood -benchtime 200x ./core/bus
func BenchmarkOperatorsUnderFlood(b *testing.B) {
	dir := b.TempDir()
	must(b, keys.WriteCA(dir))
	must(b, keys.NodeCert(dir, "", []string{"127.0.0.1"}, dir))
	s, operator := openForOperator(b, dir)
	pool, err := keys.LoadPool(filepath.Join(dir, keys.CACertFile))
	must(b, err)
	floodFromProcess(b, s.Addr())
	waits := []float64{}
	refused := 0
	for b.Loop() {
		start := time.Now()
		for {
			nc, err := nats.Connect(s.ClientURL(), nats.Nkey(operator.Public(), operator.Sign),
				nats.Secure(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}), nats.Timeout(5*time.Second))
			if err == nil {
				nc.Close()
				break
			}
			if refused++; refused > 10000 {
				b.Fatal(err)
			}
		}
		waits = append(waits, time.Since(start).Seconds()*1000)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(waits), "ms-median")
	b.ReportMetric(percentile(waits, 99), "ms-p99")
	b.ReportMetric(percentile(waits, 100), "ms-max")
	b.ReportMetric(float64(refused), "refused")
}

const (
	floodTarget  = "UNIBUS_TEST_FLOOD_TARGET"
	floodSockets = bus.DefaultConnections + 1500
)

// floodFromProcess floods from a process of its own until the benchmark ends.
func floodFromProcess(b *testing.B, addr string) {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	cmd := exec.Command(self, "-test.run=^TestFloodProcess$")
	cmd.Env = append(os.Environ(), floodTarget+"="+addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close() // it ends
		_ = cmd.Wait()
	})
	_, err = out.Read(make([]byte, 1)) // every socket was open once
	must(b, err)
}

// TestFloodProcess is the other process of BenchmarkOperatorsUnderFlood.
func TestFloodProcess(t *testing.T) {
	addr := os.Getenv(floodTarget)
	if addr == "" {
		t.Skip("BenchmarkOperatorsUnderFlood starts it")
	}
	holdSockets(t, addr, floodSockets, addresses(40)...)
	_, _ = os.Stdout.WriteString("x")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestPeersJoinDuringAFlood: silent sockets on the address of the routes, and on the
// clients', keep no peer out.
func TestPeersJoinDuringAFlood(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	routes := freeAddrs(t, 2)
	first := r.openPeer(t, "n1", routes, 0)
	holdRouteSockets(t, routes[0], 400)
	holdSockets(t, first.Addr(), 120, "127.0.0.9")
	start := time.Now()
	second := r.openPeer(t, "n2", routes, 1)
	eventually(t, "the peers to find each other", func() bool { return first.Routes() == 1 && second.Routes() == 1 })
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("a peer joined after %s", took)
	}
}

// openPeer opens a node of a cluster without JetStream.
func (r *fixture) openPeer(t *testing.T, name string, routes []string, i int) *bus.Server {
	t.Helper()
	cfg := r.config(t, name)
	cfg.Limits = bus.Limits{Connections: 64}
	cfg.Cluster = r.member(t, routes, i)
	return r.open(t, cfg)
}

// holdRouteSockets keeps n connections to the address of the routes open, half of
// them in the middle of the TLS handshake. It opens again what the server closes.
func holdRouteSockets(t *testing.T, addr string, n int) {
	t.Helper()
	stop := make(chan struct{})
	var all, first sync.WaitGroup
	first.Add(n)
	for i := range n {
		all.Go(func() {
			once := sync.OnceFunc(first.Done)
			defer once()
			for !stopped(stop) {
				c, err := net.DialTimeout("tcp", addr, 5*time.Second)
				once()
				if err != nil {
					continue
				}
				if i%2 == 1 {
					_, _ = c.Write([]byte(halfHello))
				}
				waitClosed(c, stop)
			}
		})
	}
	t.Cleanup(func() {
		close(stop)
		all.Wait()
	})
	first.Wait()
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
