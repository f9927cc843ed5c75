package admin_test

import (
	"bufio"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// TestServerChoosesNothingToSign: a server that is not ours sends what it wants
// to have signed as its nonce. The client signs nothing and says so.
func TestServerChoosesNothingToSign(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	heard := make(chan string, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go hostileServer(conn, heard)
		}
	}()
	cl := admin.NewClient(admin.ClientConfig{
		Servers: []string{"nats://" + l.Addr().String()}, Identity: nodetest.Identity(t), Connect: 2 * time.Second,
	})
	err = cl.Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nothing was signed") {
		t.Errorf("the client says: %v (%s)", err, core.KindOf(err))
	}
	cl.Close()
	_ = l.Close()
	for {
		select {
		case line := <-heard:
			if strings.Contains(line, `"sig"`) && !strings.Contains(line, `"sig":""`) {
				t.Errorf("the client sent a signature: %s", line)
			}
		default:
			return
		}
	}
}

// hostileServer asks for the signature of an SSH login.
func hostileServer(conn net.Conn, heard chan<- string) {
	defer func() { _ = conn.Close() }()
	nonce := "\x00\x00\x00\x20" + strings.Repeat("s", 32) + "2\x00\x00\x00\x04root\x00\x00\x00\x0essh-connection"
	info, _ := json.Marshal(map[string]any{ // strings and numbers cannot fail
		"server_id": "X", "server_name": "n1", "version": "2.14.0", "proto": 1, "max_payload": 1 << 20, "headers": true, "auth_required": true, "nonce": nonce,
	})
	if _, err := conn.Write([]byte("INFO " + string(info) + "\r\n")); err != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		select {
		case heard <- lines.Text():
		default:
		}
	}
}
