package sshd

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// FuzzHandshake: bytes instead of a handshake end the connection, and the server goes on.
func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{"", "SSH-2.0-x\r\n", "SSH-1.5-x\r\n", "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14", "SSH-2.0-x\r\n\xff\xff\xff\xff", strings.Repeat("a", 300)} {
		f.Add([]byte(seed))
	}
	here := start(f, func(c *Config) { c.HandshakeTimeout = time.Second })
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := net.Dial("tcp", here.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(data)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c) // until the server closes it
		_ = c.Close()
		client, err := here.dial(t, here.ana)
		if err != nil {
			t.Fatalf("after %q: %v", data, err)
		}
		_ = client.Close()
	})
}

// FuzzSessionRequests: a request in a session, whatever it holds, is answered.
func FuzzSessionRequests(f *testing.F) {
	for _, name := range []string{"pty-req", "env", "window-change", "exec", "subsystem"} {
		f.Add(name, []byte("\x00\x00\x00\x05xterm\x00\x00\x00\x50\x00\x00\x00\x18"))
	}
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		r := sessionRequests{resized: make(chan struct{}, 1)}
		for range 3 {
			r.handle(&gossh.Request{Type: name, Payload: payload})
		}
		environment, w, h := r.view()
		if w < 0 || w > maxWidth || h < 0 || h > maxHeight || len(environment) > 8 {
			t.Errorf("%d x %d, %v", w, h, environment)
		}
		for _, v := range environment {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("a variable is %s", strconv.Quote(v))
			}
		}
	})
}
