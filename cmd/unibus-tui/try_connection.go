package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/binding"
	"unibus/core/keys"
	"unibus/tui/setup"
)

// stepTime bounds each part of a connection that is tried.
const stepTime = 4 * time.Second

// attempt tries a connection part by part.
type attempt struct {
	answers setup.Answers
	report  func(setup.Part)
	roots   *keys.Authorities // nil: those of the system
}

// tryConnection tries the files, then each server up to TLS, and then as whom one of them admits the person and
// which key the cluster proves. One server that works is enough: a node may be down.
func tryConnection(ctx context.Context, a setup.Answers, report func(setup.Part)) (setup.Answers, error) {
	a.Identity, a.CA = expandHome(a.Identity), expandHome(a.CA)
	t := &attempt{answers: a, report: report}
	if a.CA != "" {
		roots, err := keys.OpenAuthorities(a.CA, nil)
		if err != nil {
			return a, t.fail("", "CA file", err)
		}
		t.roots = roots
	}
	var failed error
	works := 0
	for _, server := range a.ServerList() {
		if err := t.tryServer(ctx, server); err != nil {
			failed = err
			continue
		}
		works++
	}
	if works == 0 {
		return t.answers, failed
	}
	return t.answers, t.tryIdentity(ctx)
}

func (t *attempt) works(server, name, text string) {
	t.report(setup.Part{Server: server, Name: name, State: setup.Works, Text: text})
}

func (t *attempt) fail(server, name string, err error) error {
	e := core.AsError(err)
	t.report(setup.Part{Server: server, Name: name, State: setup.Fails, Text: e.Text, Next: e.Next})
	return err
}

// tryServer resolves the name, connects and agrees about TLS.
func (t *attempt) tryServer(ctx context.Context, server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" {
		return t.fail(server, "resolve", core.Errorf(core.KindInvalid, "this is not a URL of a node").WithNext("use tls://HOST:4222"))
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		return t.fail(server, "resolve", core.Errorf(core.KindUnavailable, "the name %s cannot be resolved", u.Hostname()).WithNext("check the name, and the DNS of this machine"))
	}
	t.works(server, "resolve", strings.Join(addrs, ", "))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "4222")))
	if err != nil {
		return t.fail(server, "connect", connectFault(err))
	}
	defer func() { _ = conn.Close() }() // it was only tried
	t.works(server, "connect", conn.RemoteAddr().String())
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails for a closed connection, which the next read says
	}
	return t.tryTLS(ctx, server, u, conn)
}

func connectFault(err error) error {
	var slow net.Error
	text, next := "the port does not answer: "+err.Error(), "check the address, and that unibusd runs there"
	switch {
	case strings.Contains(err.Error(), "refused"):
		text = "connection refused: no program listens there"
	case errors.As(err, &slow) && slow.Timeout():
		text, next = "no answer within "+stepTime.String(), "check the address, and the firewalls on the way"
	}
	return core.Errorf(core.KindUnavailable, "%s", text).WithNext("%s", next)
}

// serverInfoTimeout is how long a server may take to send its INFO, the first line of a connection.
const serverInfoTimeout = time.Second

// tryTLS does what the node wants: TLS after its first line, TLS at once, or none.
func (t *attempt) tryTLS(ctx context.Context, server string, u *url.URL, conn net.Conn) error {
	wanted := u.Scheme == "tls" || t.roots != nil
	deadline, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(time.Now().Add(serverInfoTimeout))
	line, err := bufio.NewReader(conn).ReadString('\n')
	_ = conn.SetReadDeadline(deadline)
	var slow net.Error
	switch {
	case err != nil && wanted && errors.As(err, &slow) && slow.Timeout():
		t.answers.TLSFirst = true // it says nothing before TLS
	case err != nil:
		return t.fail(server, "TLS", core.Errorf(core.KindUnavailable, "the program there says nothing that a node says").WithNext("check the port: it is that for clients, 4222 unless the node says otherwise"))
	default:
		var info struct {
			Required  bool `json:"tls_required"`
			Available bool `json:"tls_available"`
		}
		text, isNode := strings.CutPrefix(line, "INFO ")
		if !isNode || json.Unmarshal([]byte(text), &info) != nil {
			return t.fail(server, "TLS", core.Errorf(core.KindInvalid, "the program there is not a node of unibus").WithNext("check the port: it is that for clients, 4222 unless the node says otherwise"))
		}
		switch {
		case wanted && !info.Required && !info.Available:
			return t.fail(server, "TLS", core.Errorf(core.KindRefused, "the node has no certificate").WithNext("use nats://%s, or give the node a certificate", u.Host))
		case !wanted && info.Required:
			return t.fail(server, "TLS", core.Errorf(core.KindRefused, "the node wants TLS").WithNext("use tls://%s and the CA file", u.Host))
		case !wanted:
			t.works(server, "TLS", "none: the node has no certificate, and the address begins with nats://")
			return nil
		}
	}
	return t.handshake(ctx, server, u, conn)
}

func (t *attempt) handshake(ctx context.Context, server string, u *url.URL, conn net.Conn) error {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: u.Hostname()}
	if t.roots != nil {
		pool, err := t.roots.Pool()
		if err != nil {
			return t.fail(server, "TLS", err)
		}
		cfg.RootCAs = pool
	}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		if refused := keys.RefusedCertificate(err, u.Host, t.answers.CA, "the CA file", time.Now()); refused != nil {
			return t.fail(server, "TLS", refused)
		}
		return t.fail(server, "TLS", core.Errorf(core.KindRefused, "no agreement about TLS: %v", err).WithNext("check the port and the CA file"))
	}
	cert := tc.ConnectionState().PeerCertificates[0]
	t.works(server, "TLS", "certificate valid until "+cert.NotAfter.UTC().Format(time.DateOnly))
	return nil
}

// tryIdentity lets a node admit the person, and the cluster prove its key.
func (t *attempt) tryIdentity(ctx context.Context) error {
	conn := cli.Connection{
		Servers: t.answers.ServerList(), Identity: t.answers.Identity, CA: t.answers.CA, TLSFirst: t.answers.TLSFirst,
		Passphrase: cli.Passphrase{NoPrompt: true},
	}
	cfg, err := conn.Config(ctx, "unibus-tui")
	if errors.Is(err, cli.ErrPassphraseNeeded) { // the console asks for it before it takes the terminal
		t.report(setup.Part{Name: "identity", State: setup.NotTried, Text: "a passphrase protects the seed file; the console asks for it when it starts"})
		return nil
	}
	if err != nil {
		return t.fail("", "identity", err)
	}
	cl, err := conn.Try(ctx, cfg)
	if changed := new(binding.Changed); errors.As(err, &changed) {
		t.works("", "identity", cfg.Identity.Public()+" is admitted")
		return t.fail("", "cluster key", err)
	}
	if err != nil {
		return t.fail("", "identity", err)
	}
	defer cl.Close()
	t.works("", "identity", cfg.Identity.Public()+" is admitted")
	if !cl.Proven() {
		t.report(setup.Part{Name: "cluster key", State: setup.NotTried, Text: "no node can prove it now; the console asks again"})
		return nil
	}
	text := "proven and remembered from the first contact on: "
	if cfg.ClusterKey != "" {
		text = "proven, and the one that is remembered: "
	}
	t.works("", "cluster key", text+cl.ClusterKey())
	return nil
}

func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// absolute is a path that a context can hold: it is read from other directories.
func absolute(path string) string {
	if path == "" || strings.HasPrefix(path, "agent:") {
		return path
	}
	abs, err := filepath.Abs(expandHome(path))
	if err != nil {
		return path
	}
	return abs
}
