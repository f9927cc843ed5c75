package bus_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"unibus/core"
)

// TestInfoBeforeTLS lists the fields that the server sends to every client in clear.
// nats-server cannot leave any of them out; a new version must not add one unnoticed.
func TestInfoBeforeTLS(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	conn := dialTCP(t, s.Addr())
	defer func() { _ = conn.Close() }()
	must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	must(t, err)
	var info map[string]any
	must(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	want := []string{
		"api_lvl", "auth_required", "client_id", "client_ip", "go", "headers", "host", "max_payload", "nonce", "port", "proto",
		"server_id", "server_name", "tls_required", "version", "xkey",
	} // and in a cluster its name and jetstream; git_commit where the program was built with one
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(info))); d != "" {
		t.Errorf("sent in clear:\n%s", d)
	}
}

// TestNothingIsSaidBeforeTLS: with TLSFirst a client receives nothing before the handshake.
func TestNothingIsSaidBeforeTLS(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.TLSFirst = true
	s := r.open(t, cfg)
	conn := dialTCP(t, s.Addr())
	defer func() { _ = conn.Close() }()
	must(t, conn.SetReadDeadline(time.Now().Add(time.Second))) // long after INFO comes without TLSFirst
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client without TLS received %d bytes, %v", n, err)
	}
	nc := r.mustDial(t, s, r.a, nats.TLSHandshakeFirst())
	if nc.ConnectedServerName() != "n1" {
		t.Errorf("connected to %q", nc.ConnectedServerName())
	}
	if _, err := s.InProcess(r.store); err != nil {
		t.Errorf("from inside the process: %v", err)
	}
	if _, err := r.dial(t, s, r.a, nats.Timeout(time.Second)); err == nil {
		t.Error("a client that waits for INFO was admitted")
	}
}
