package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core/keys"
	"unibus/tui/setup"
)

// speaker is a server that says a line, and then speaks TLS with a certificate if it has one.
func speaker(t *testing.T, line string, cert *tls.Certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(line))
			if cert != nil {
				c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS13})
				_ = c.(*tls.Conn).HandshakeContext(context.Background())
			}
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// TestErrorIsAtThePartThatHasIt: everything before it works, and nothing after it is tried.
func TestErrorIsAtThePartThatHasIt(t *testing.T) {
	t.Parallel()
	https := httptest.NewUnstartedServer(http.NotFoundHandler())
	https.StartTLS()
	t.Cleanup(https.Close)
	dir := t.TempDir()
	ca, otherCA := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "other", "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(otherCA), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := keys.WriteCA(filepath.Dir(otherCA)); err != nil {
		t.Fatal(err)
	}
	const plain, wantsTLS = "INFO {\"server_id\":\"x\"}\r\n", "INFO {\"tls_required\":true}\r\n"
	cert := &https.TLS.Certificates[0]
	for name, c := range map[string]struct {
		server, ca  string
		works, fail string
		says        string
	}{
		"no such name":   {"tls://n1..example:4222", ca, "", "resolve", "cannot be resolved"},
		"not a node":     {"nats://" + speaker(t, "SSH-2.0-OpenSSH\r\n", nil), "", "resolve connect", "TLS", "is not a node of unibus"},
		"wants TLS":      {"nats://" + speaker(t, wantsTLS, nil), "", "resolve connect", "TLS", "the node wants TLS"},
		"has no TLS":     {"tls://" + speaker(t, plain, nil), ca, "resolve connect", "TLS", "the node has no certificate"},
		"another CA":     {"tls://" + speaker(t, wantsTLS, cert), otherCA, "resolve connect", "TLS", "certificate"},
		"missing CA":     {"tls://" + speaker(t, wantsTLS, cert), filepath.Join(dir, "absent"), "", "CA file", "does not exist"},
		"TLS works":      {"tls://" + speaker(t, wantsTLS, cert), ca, "resolve connect TLS", "identity", "does not exist"},
		"TLS at once":    {"tls://" + speaker(t, "", cert), ca, "resolve connect TLS", "identity", "does not exist"},
		"no seed file":   {"nats://" + speaker(t, plain, nil), "", "resolve connect TLS", "identity", "does not exist"},
		"one node works": {"tls://n1..example:4222,tls://" + speaker(t, wantsTLS, cert), ca, "resolve connect TLS", "identity", "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var works []string
			var last setup.Part
			_, err := tryConnection(t.Context(), setup.Answers{Servers: c.server, CA: c.ca, Identity: filepath.Join(dir, "absent.nk")}, func(p setup.Part) {
				if p.State == setup.Works {
					works = append(works, p.Name)
				}
				last = p
			})
			if err == nil || last.State != setup.Fails || last.Name != c.fail || !strings.Contains(last.Text, c.says) || last.Next == "" {
				t.Errorf("%v; the last part is %+v, want %s: …%s…", err, last, c.fail, c.says)
			}
			if got := strings.Join(works, " "); got != c.works {
				t.Errorf("what works is %q, want %q", got, c.works)
			}
		})
	}
}

// TestContextIsNeverOverwritten, and holds no seed.
func TestContextIsNeverOverwritten(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	a := setup.Answers{Name: "ops", Servers: "tls://a:1, tls://b:2", Identity: "ana.nk", CA: "ca.crt", TLSFirst: true}
	path, err := saveContext(a)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keys.ReadContext("ops")
	if err != nil || strings.Join(got.Servers, " ") != "tls://a:1 tls://b:2" || !filepath.IsAbs(got.Seed) || !filepath.IsAbs(got.CA) || !got.TLSFirst {
		t.Errorf("read again: %+v, %v", got, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Servers = "tls://c:3"
	if _, err := saveContext(a); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second context of the name: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the context was changed: %v", err)
	}
	if err := checkAnswer("name", "ops"); err == nil {
		t.Error("the form takes the name of a context that exists")
	}
	a.Name, a.Identity = "agent", "agent:UABC"
	if _, err := saveContext(a); err != nil {
		t.Fatal(err)
	}
	if got, err := keys.ReadContext("agent"); err != nil || got.Seed != "agent:UABC" {
		t.Errorf("a key of an agent: %+v, %v", got, err)
	}
}
