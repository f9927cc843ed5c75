package bus_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

// from makes a client connect from another address of this machine.
func from(addr string) nats.Option {
	return nats.Dialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: 10 * time.Second})
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.Limits = bus.Limits{Connections: 20, PerAddress: 3, Payload: 4096, Pending: 1 << 20, Subscriptions: 5}
	s := r.open(t, cfg)
	t.Run("address", func(t *testing.T) {
		first := r.mustDial(t, s, r.a)
		for _, id := range []keys.Identity{r.a, r.b} {
			r.mustDial(t, s, id)
		}
		if _, err := r.dial(t, s, r.a); !errors.Is(err, nats.ErrMaxAccountConnectionsExceeded) {
			t.Errorf("a fourth connection from one address: %v", err)
		}
		r.mustDial(t, s, r.a, from("127.0.0.2"))
		first.Close()
		eventually(t, "a connection to become free", func() bool {
			nc, err := r.dial(t, s, r.b)
			if err == nil {
				nc.Close()
			}
			return err == nil
		})
		if nc, err := s.InProcess(r.system); err != nil {
			t.Errorf("the node's own connection counts as one of an address: %v", err)
		} else {
			nc.Close()
		}
	})
	t.Run("use", func(t *testing.T) {
		nc := r.mustDial(t, s, r.a, from("127.0.0.3"))
		if nc.MaxPayload() != 4096 {
			t.Errorf("the largest message has %d bytes", nc.MaxPayload())
		}
		subject := "unibus.room.r." + r.a.Public()
		for i := range 6 {
			before := nc.LastError()
			_, err := nc.SubscribeSync(subject)
			must(t, err)
			must(t, nc.Flush())
			if refused := nc.LastError() != before; refused != (i == 5) { //nolint:errorlint // each refusal is an error value of its own
				t.Errorf("subscription %d: %v", i+1, nc.LastError())
			}
		}
	})
}

// TestConnectionsAreLimitedInAll: admitted users from several addresses fill what is
// not reserved for operators. The next one connects after another has disconnected.
func TestConnectionsAreLimitedInAll(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.Limits = bus.Limits{Connections: 16, PerAddress: 6}
	s := r.open(t, cfg)
	var users []*nats.Conn
	for i := range 12 {
		users = append(users, r.mustDial(t, s, r.a, from(fmt.Sprintf("127.0.0.%d", 2+i/6))))
	}
	if _, err := r.dial(t, s, r.b, from("127.0.0.5")); err == nil {
		t.Error("a connection beyond the limit was admitted")
	}
	for i, nc := range users {
		if err := nc.Flush(); err != nil {
			t.Errorf("connection %d: %v", i+1, err)
		}
	}
	users[0].Close()
	eventually(t, "a connection to become free", func() bool {
		_, err := r.dial(t, s, r.b, from("127.0.0.5"))
		return err == nil
	})
}

// TestSilentConnectionsMakeRoom: silent connections fill --max-connections, and a user connects.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.Limits = bus.Limits{Connections: 16, AuthTimeout: time.Minute}
	s := r.open(t, cfg)
	here := r.mustDial(t, s, r.b)
	for range 15 {
		c := dialTCP(t, s.Addr())
		t.Cleanup(func() { _ = c.Close() })
		_, err := c.Read(make([]byte, 1)) // the server has it
		must(t, err)
	}
	start := time.Now()
	eventually(t, "a user to connect", func() bool {
		_, err := r.dial(t, s, r.a, nats.Timeout(time.Second))
		return err == nil
	})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a user connected after %s", took)
	}
	must(t, here.Flush())
}

func TestAuthTimeout(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	for _, secure := range []bool{false, true} {
		cfg := r.config(t, "n1")
		cfg.Limits.AuthTimeout = 100 * time.Millisecond
		if !secure {
			cfg.CertFile, cfg.KeyFile = "", ""
		}
		s := r.open(t, cfg)
		c := dialTCP(t, s.Addr())
		must(t, c.SetDeadline(time.Now().Add(3*time.Second)))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("TLS %v: a silent connection stays", secure)
		}
		must(t, c.Close())
	}
}

func TestLimitsThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	for text, l := range map[string]bus.Limits{
		"too few": {Connections: 3}, "one address": {Connections: 20, PerAddress: 30}, "do not fit": {Pending: 10},
		"cannot have": {PerAddress: -1},
	} {
		cfg := r.config(t, "n1")
		cfg.Limits = l
		if err := bus.New(cfg, r.auth).Open(t.Context()); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// TestFloodOfBadHandshakes measures how long good users wait during a flood of wrong
// signatures, unknown keys and half handshakes.
func TestFloodOfBadHandshakes(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	r := newFixture(t, core.BusAuthEnforce)
	log, lines := logLines()
	cfg := r.config(t, "n1")
	cfg.Logger = log
	s := r.open(t, cfg)
	calm := r.connectTimes(t, s, 50)
	stop := make(chan struct{})
	var all sync.WaitGroup
	var tried [8]int
	for i := range tried {
		all.Go(func() { tried[i] = r.flood(t, s, i, stop) })
	}
	start := time.Now()
	busy := r.connectTimes(t, s, 50)
	took := time.Since(start)
	close(stop)
	all.Wait()
	bad := 0
	for _, n := range tried {
		bad += n
	}
	t.Logf("a good user waits %s in the middle and %s at most; beside %.0f bad handshakes a second %s and %s",
		calm[25], calm[49], float64(bad)/took.Seconds(), busy[25], busy[49])
	if busy[49] > 5*time.Second {
		t.Errorf("a good user waited %s", busy[49])
	}
	// Twenty a second of refusals, twenty of nats-server's errors, and a line each for the number omitted.
	if n := strings.Count(lines(), "\n"); float64(n) > 2*21*(took.Seconds()+2) {
		t.Errorf("the flood made %d lines of log in %s", n, took)
	}
}

// connectTimes is how long good users take to connect, one after the other, in order of length.
func (r *fixture) connectTimes(t *testing.T, s *bus.Server, n int) []time.Duration {
	t.Helper()
	var took []time.Duration
	for range n {
		start := time.Now()
		r.mustDial(t, s, r.a).Close()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took
}

// flood returns how many bad handshakes it made until stop.
func (r *fixture) flood(t *testing.T, s *bus.Server, i int, stop <-chan struct{}) int {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return n
		default:
		}
		var err error
		switch i % 3 {
		case 0:
			_, err = r.dial(t, s, r.x, from("127.0.0.2"))
		case 1:
			_, err = r.dial(t, s, keys.Identity{}, nats.Nkey(r.a.Public(), r.b.Sign), from("127.0.0.3"))
		default:
			var c net.Conn
			if c, err = net.DialTimeout("tcp", s.Addr(), 3*time.Second); err == nil {
				_, _ = c.Read(make([]byte, 512))
				_, _ = c.Write([]byte("\x16\x03\x01\x02\x00\x01\x00 no hello"))
				_ = c.Close()
				err = io.EOF
			}
		}
		if err == nil {
			t.Error("a bad handshake was admitted")
			return n
		}
	}
}

// TestRenewedCertificate: files that are replaced are used for the next
// connection; damaged ones leave the old certificate in use.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	log, lines := logLines()
	cfg := r.config(t, "n1")
	cfg.CertCheck, cfg.Logger = time.Millisecond, log
	s := r.open(t, cfg)
	live := r.mustDial(t, s, r.a)
	first := serial(t, live)
	replace := func(file string, content []byte) {
		must(t, os.Remove(r.file(file)))
		must(t, os.WriteFile(r.file(file), content, 0o600))
		must(t, os.Chtimes(r.file(file), time.Time{}, time.Now().Add(time.Hour))) // whatever the clock's grain
	}
	good, err := os.ReadFile(r.file(keys.NodeCertFile))
	must(t, err)
	replace(keys.NodeCertFile, []byte("not a certificate"))
	eventually(t, "the damage to be noticed", func() bool {
		if serial(t, r.mustDial(t, s, r.b)) != first {
			t.Fatal("another certificate")
		}
		return strings.Contains(lines(), "the last good one stays")
	})
	replace(keys.NodeCertFile, good)
	must(t, os.Remove(r.file(keys.NodeCertFile)))
	must(t, os.Remove(r.file(keys.NodeKeyFile)))
	must(t, keys.NodeCert(r.dir, "", []string{"127.0.0.1"}, r.dir))
	eventually(t, "the renewed certificate", func() bool { return serial(t, r.mustDial(t, s, r.b)) != first })
	must(t, live.Flush()) // no session ended for it
}

func serial(t *testing.T, nc *nats.Conn) string {
	t.Helper()
	state, err := nc.TLSConnectionState()
	must(t, err)
	if state.Version != tls.VersionTLS13 {
		t.Errorf("TLS version %x", state.Version)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}
