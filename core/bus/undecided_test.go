package bus_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/bus"
	"unibus/core/keys"
)

// undecidedDirectory cannot answer while its error is set.
type undecidedDirectory struct {
	*directory
	err atomic.Pointer[core.Error]
}

func (d *undecidedDirectory) Admit(ctx context.Context, id core.UserID) (core.Admission, error) {
	if err := d.err.Load(); err != nil {
		return core.Admission{}, err
	}
	return d.directory.Admit(ctx, id)
}

var errNoQuorum = core.Errorf(core.KindUnavailable, "there is no quorum")

// withUndecided gives the fixture a directory whose answers a test can take away.
func (r *fixture) withUndecided() *undecidedDirectory {
	d := &undecidedDirectory{directory: r.users}
	r.auth = auth.New(auth.Config{
		Mode: core.BusAuthEnforce, Users: d,
		Operators: []core.Operator{{Key: r.admin.Public(), Role: core.OperatorAdmin, Name: "admin"}},
		Internal:  map[string]auth.Grant{r.system.Public(): auth.GrantSystem()},
	})
	return d
}

// TestUndecidedIsNoRefusal: while a node cannot decide, it says nothing, to a user that
// it knows as little as to one that it does not. An answer that it can decide stays
// decided.
func TestUndecidedIsNoRefusal(t *testing.T) {
	t.Parallel()
	elsewhere := core.Errorf(core.KindUnavailable, "n2 is the control plane")
	elsewhere.Err = core.ErrElsewhere
	for name, reason := range map[string]*core.Error{
		"no quorum": errNoQuorum, "elsewhere": elsewhere, "a store that fails": core.Errorf(core.KindFailed, "the disk is broken"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFixture(t, core.BusAuthEnforce)
			d := r.withUndecided()
			cfg := r.config(t, "n1")
			cfg.CertFile, cfg.KeyFile = "", ""
			s := r.open(t, cfg)
			d.err.Store(reason)
			for who, id := range map[string]keys.Identity{"a user": r.a, "a stranger": r.x} {
				line, err := dialRaw(t, s).connect(t, id, "")
				if err == nil || line != "" {
					t.Errorf("%s was told %q, %v", who, line, err)
				}
			}
			if line, err := dialRaw(t, s).connect(t, r.a, `,"sig":"AA"`); err != nil || !strings.Contains(line, "Authorization Violation") {
				t.Errorf("a wrong signature was told %q, %v", line, err)
			}
			if line, err := dialRaw(t, s).connect(t, r.admin, ""); err != nil || line != "PONG\r\n" {
				t.Errorf("an operator was told %q, %v", line, err)
			}
			d.err.Store(nil)
			if line, err := dialRaw(t, s).connect(t, r.x, ""); err != nil || !strings.Contains(line, "Authorization Violation") {
				t.Errorf("a stranger was told %q, %v, where the node can decide", line, err)
			}
		})
	}
}

// TestUndecidedIsDecidedLate: a node that can decide a moment later admits the same connection.
func TestUndecidedIsDecidedLate(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	d := r.withUndecided()
	cfg := r.config(t, "n1")
	cfg.CertFile, cfg.KeyFile = "", ""
	s := r.open(t, cfg)
	d.err.Store(errNoQuorum)
	time.AfterFunc(300*time.Millisecond, func() { d.err.Store(nil) })
	if line, err := dialRaw(t, s).connect(t, r.a, ""); err != nil || line != "PONG\r\n" {
		t.Errorf("the server said %q, %v", line, err)
	}
}

// TestClientOutlivesUndecided: a client with nats.go's own options, told to reconnect for
// ever, comes back after its node could not decide for several of its attempts. The same
// client ends for good once its user is revoked.
func TestClientOutlivesUndecided(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	d := r.withUndecided()
	s := r.open(t, r.config(t, "n1"))
	var attempts atomic.Int32
	back, closed := make(chan struct{}, 1), make(chan struct{})
	counted := &net.Dialer{Control: func(string, string, syscall.RawConn) error {
		attempts.Add(1)
		return nil
	}}
	nc := r.mustDial(t, s, r.a, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.Dialer(counted),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	d.err.Store(errNoQuorum)
	s.DisconnectUser(r.a.Public())
	eventually(t, "five attempts", func() bool { return attempts.Load() >= 6 || nc.IsClosed() })
	d.err.Store(nil)
	select {
	case <-back:
	case <-closed:
		t.Fatalf("the client gave up while its node could not decide: %v", nc.LastError())
	case <-time.After(20 * time.Second):
		t.Fatal("the client did not come back")
	}
	r.users.set(r.a, false)
	s.DisconnectUser(r.a.Public())
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the client of a revoked user goes on")
	}
	if err := nc.LastError(); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the client of a revoked user ended by %v", err)
	}
}

// TestAddressLimitIsNoRefusal: an address that has too many connections at the moment is
// not told that its credentials are wrong.
func TestAddressLimitIsNoRefusal(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.Limits = bus.Limits{Connections: 16, PerAddress: 1}
	s := r.open(t, cfg)
	r.mustDial(t, s, r.a)
	if _, err := r.dial(t, s, r.b); !errors.Is(err, nats.ErrMaxAccountConnectionsExceeded) {
		t.Errorf("a second connection from one address: %v", err)
	}
}

// TestUndecidedTakeNoSlots: anybody can make keys and sign with them. Where more
// connections come than a node can decide about, the oldest make room at once, as those
// do that send no credentials, and operators connect.
func TestUndecidedTakeNoSlots(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	d := r.withUndecided()
	cfg := r.config(t, "n1")
	cfg.CertFile, cfg.KeyFile, cfg.Limits = "", "", bus.Limits{Connections: 16} // 36 that are not admitted may stay
	s := r.open(t, cfg)
	d.err.Store(errNoQuorum)
	var early atomic.Int32
	var all sync.WaitGroup
	signing := make(chan struct{}, 8) // few at once, so that none is closed before it has signed
	for i := range 300 {
		all.Go(func() {
			signing <- struct{}{}
			c, err := rawConnect(s.Addr(), addresses(30)[i%30])
			<-signing
			if err != nil {
				return
			}
			start := time.Now()
			_, _ = io.Copy(io.Discard, c) // until it is closed
			_ = c.Close()
			if time.Since(start) < time.Second { // before the time for a decision is over
				early.Add(1)
			}
		})
	}
	for i := range 10 {
		nc, err := nats.Connect(s.ClientURL(), nats.Nkey(r.admin.Public(), r.admin.Sign), nats.Timeout(5*time.Second))
		if err != nil {
			t.Fatalf("operator %d, beside connections that are not decided: %v", i+1, err)
		}
		nc.Close()
	}
	all.Wait()
	if n := early.Load(); n < 50 {
		t.Errorf("%d of 300 connections made room before their decision was over, want 50 and more", n)
	}
}

// rawConnect presents a new key from an address, and does not wait for the answer.
func rawConnect(to, source string) (net.Conn, error) {
	id, err := keys.GenerateIdentity()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	var info struct{ Nonce string }
	if err == nil {
		err = json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info)
	}
	var sig []byte
	if err == nil {
		sig, err = id.Sign([]byte(info.Nonce))
	}
	if err == nil {
		_, err = fmt.Fprintf(conn, "CONNECT {\"nkey\":%q,\"sig\":%q}\r\n", id.Public(), base64.RawURLEncoding.EncodeToString(sig))
	}
	if err != nil {
		_ = conn.Close()
	}
	return conn, err
}
