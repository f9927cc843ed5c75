package bus_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/keys"
)

// rawClient is a connection without a client library, which sends CONNECT as often as a test wants.
type rawClient struct {
	net.Conn
	lines *bufio.Reader
	nonce string
}

// dialRaw opens a connection to a server without TLS.
func dialRaw(t *testing.T, s *bus.Server) *rawClient {
	t.Helper()
	conn := dialTCP(t, s.Addr())
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	c := &rawClient{Conn: conn, lines: bufio.NewReader(conn)}
	line, err := c.lines.ReadString('\n')
	must(t, err)
	var info struct{ Nonce string }
	must(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	c.nonce = info.Nonce
	return c
}

// connect sends a valid CONNECT of an identity, and a PING. It returns the server's answer.
// nats-server keeps the user's name of the last CONNECT where more, such as "user":"", does not replace it.
func (c *rawClient) connect(t *testing.T, id keys.Identity, more string) (string, error) {
	t.Helper()
	sig, err := id.Sign([]byte(c.nonce))
	must(t, err)
	_, err = fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"nkey\":%q,\"sig\":%q%s}\r\nPING\r\n", id.Public(), base64.RawURLEncoding.EncodeToString(sig), more)
	if err != nil {
		return "", err
	}
	return c.lines.ReadString('\n')
}

// TestSecondConnectIsRefused: a connection presents its credentials once. nats-server asks about every CONNECT, under
// the same nonce, so one socket could otherwise count as many connections until no user is admitted any more.
func TestSecondConnectIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthEnforce, core.BusAuthSoft, core.BusAuthOff} {
		for name, second := range map[string]struct {
			other bool // of another user
			more  string
		}{
			"the same credentials":     {false, `,"user":""`},
			"another user's":           {true, `,"user":""`},
			"the same without a reset": {false, ""},
			"a wrong signature":        {false, `,"user":"","sig":"AA"`},
			"other credentials":        {false, `,"user":"u","pass":"p"`},
			"no key":                   {false, `,"user":"","nkey":"","sig":""`},
		} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := newFixture(t, mode)
				cfg := r.config(t, "n1")
				cfg.CertFile, cfg.KeyFile, cfg.Limits = "", "", bus.Limits{Connections: 16}
				s := r.open(t, cfg)
				for range 13 { // users may have 12 connections
					c := dialRaw(t, s)
					if line, err := c.connect(t, r.a, ""); err != nil || line != "PONG\r\n" {
						t.Fatalf("the first CONNECT: %q, %v", line, err)
					}
					id := r.a
					if second.other {
						id = r.b
					}
					if line, err := c.connect(t, id, second.more); err != nil || !strings.Contains(line, "Authorization Violation") {
						t.Errorf("the second CONNECT: %q, %v", line, err)
					}
					must(t, c.Close())
					eventually(t, "the connection to be over", func() bool { return s.Clients() == 0 })
				}
				var users []*nats.Conn
				for i := range 12 {
					nc, err := nats.Connect(s.ClientURL(), nats.Nkey(r.b.Public(), r.b.Sign))
					if err != nil {
						t.Fatalf("user %d of 12, and no other connection is open: %v", i+1, err)
					}
					t.Cleanup(nc.Close)
					users = append(users, nc)
				}
				if nc, err := nats.Connect(s.ClientURL(), nats.Nkey(r.b.Public(), r.b.Sign)); !errors.Is(err, nats.ErrMaxAccountConnectionsExceeded) {
					t.Errorf("a thirteenth user: %v", err)
					nc.Close()
				}
				if n := s.DisconnectUser(r.a.Public()) + s.DisconnectUser(r.b.Public()); n != len(users) {
					t.Errorf("%d sessions ended, want %d", n, len(users))
				}
			})
		}
	}
}
