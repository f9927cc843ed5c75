package node_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/binding"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// relay is a hostile endpoint. It accepts connections with a certificate of its own, or without
// TLS, and passes everything on to a node, including the node's nonce and the client's
// signature. So the node takes it for its clients.
type relay struct {
	t      *testing.T
	target string
	node   *tls.Config // to the node; nil: the node has no TLS
	own    *tls.Config // to the clients; nil: none is offered
	url    string
}

func newRelay(t *testing.T, c *nodetest.Cluster, secure bool) (*relay, *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &relay{t: t, target: c.Configs[0].Listen, node: c.TLSConfig(), url: "nats://" + l.Addr().String()}
	var trusts *tls.Config
	if secure {
		dir := t.TempDir()
		if err := errors.Join(keys.WriteCA(dir), keys.NodeCert(dir, "", []string{"127.0.0.1"}, dir)); err != nil {
			t.Fatal(err)
		}
		pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
		if err != nil {
			t.Fatal(err)
		}
		pool, err := keys.LoadPool(filepath.Join(dir, keys.CACertFile))
		if err != nil {
			t.Fatal(err)
		}
		r.own = &tls.Config{Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS13}
		trusts = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
		r.url = "tls://" + l.Addr().String()
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(conn)
		}
	}()
	return r, trusts
}

// pass joins a client to the node.
func (r *relay) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	node, err := net.DialTimeout("tcp", r.target, 5*time.Second)
	if err != nil {
		return
	}
	defer func() { _ = node.Close() }()
	line, err := bufio.NewReaderSize(node, 1<<16).ReadString('\n') // INFO; the node then waits
	if err != nil {
		return
	}
	var info map[string]any
	if json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info) != nil {
		return
	}
	info["tls_required"], info["tls_available"] = r.own != nil, r.own != nil
	text, _ := json.Marshal(info)
	if _, err := client.Write([]byte("INFO " + string(text) + "\r\n")); err != nil {
		return
	}
	if r.node != nil {
		conf := r.node.Clone()
		conf.ServerName = "127.0.0.1"
		node = tls.Client(node, conf)
	}
	if r.own != nil {
		client = tls.Server(client, r.own)
	}
	go func() { _, _ = io.Copy(client, node); _ = client.Close() }()
	_, _ = io.Copy(node, client)
}

// TestRelayedLoginIsWorthNothing: a relay is logged in as an operator or a user. Neither the
// requests that they sign nor its own take effect, or are answered.
func TestRelayedLoginIsWorthNothing(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"with a certificate of its own": true, "without TLS": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true})
			c.WaitServing(core.BackendSQLite, 0)
			key := c.Client(0, c.Admin).ClusterKey()
			r, trusts := newRelay(t, c, secure)
			victim := nodetest.Identity(t)
			op := admin.NewClient(admin.ClientConfig{Servers: []string{r.url}, Identity: c.Admin, TLS: trusts})
			err := op.Open(t.Context())
			if err == nil { // the way of a client that does not ask who is there
				_, err = op.UserAdd(t.Context(), core.User{ID: core.UserID(victim.Public())})
			}
			wantKind(t, "an operator's command through a relay", err, core.KindRefused)
			if _, err := c.Client(0, c.Admin).UserGet(t.Context(), victim.Public()); core.KindOf(err) != core.KindNotFound {
				t.Errorf("it took effect: %v", err)
			}
			if err := readByRelay(t, c, r, trusts); core.KindOf(err) != core.KindRefused {
				t.Errorf("a read through a relay: %v", err)
			}
			user := nodetest.Identity(t)
			fine[core.User](t)(c.Client(0, c.Admin).UserAdd(t.Context(), core.User{ID: core.UserID(user.Public())}))
			nc, err := dialAs(r.url, trusts, user)
			if err != nil {
				t.Fatalf("the relay does not pass a login on: %v", err)
			}
			defer nc.Close()
			for what, pin := range map[string]string{"first use": "", "a pinned key": key} {
				cl := control.NewClient(control.ClientConfig{Conn: nc, Identity: user, ClusterKey: pin})
				_, err = cl.CreateRoom(t.Context(), control.CreateRequest{ID: "relayed"})
				wantKind(t, "a user's request through a relay, "+what, err, core.KindRefused)
			}
			if _, err := store(t, c, 0).Room(context.Background(), "relayed"); core.KindOf(err) != core.KindNotFound {
				t.Errorf("the user's request took effect: %v", err)
			}
		})
	}
}

func dialAs(url string, trusts *tls.Config, id keys.Identity) (*nats.Conn, error) {
	opts := []nats.Option{nats.Nkey(id.Public(), id.Sign), nats.CustomInboxPrefix("_INBOX." + id.Public()), nats.NoReconnect()}
	if trusts != nil {
		opts = append(opts, nats.Secure(trusts))
	}
	return nats.Connect(url, opts...)
}

// readByRelay asks for the status over a relayed login, once signed as the operator's client
// would sign it and once unsigned. It returns the milder refusal.
func readByRelay(t *testing.T, c *nodetest.Cluster, r *relay, trusts *tls.Config) error {
	t.Helper()
	nc, err := dialAs(r.url, trusts, c.Admin)
	if err != nil {
		t.Fatalf("the relay does not pass a login on: %v", err)
	}
	defer nc.Close()
	for _, signed := range []bool{true, false} {
		msg := nats.NewMsg(admin.Subject(c.Admin.Public(), admin.TargetAny, "status"))
		if signed {
			if err := binding.New(nc, c.Admin, c.Client(0, c.Admin).ClusterKey()).Sign(msg, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := nc.RequestMsg(msg, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var p admin.Problem
		if json.Unmarshal(answer.Data, &p) != nil || core.KindOf(asError(p.Error)) != core.KindRefused {
			return core.Errorf(core.KindFailed, "signed %v: %.200s", signed, answer.Data)
		}
	}
	return core.Errorf(core.KindRefused, "both are refused")
}

func asError(e *core.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// forger is a hostile server. It admits every client, claims that it cannot prove anything
// yet, and answers everything else as it likes.
func forger(t *testing.T, addr string) (url string, asked func() []string) {
	t.Helper()
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{ServerName: "forger", Host: host, Port: cmp.Or(port, server.RANDOM_PORT), AlwaysEnableNonce: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the hostile server does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var mu sync.Mutex
	var subjects []string
	if _, err := nc.Subscribe("unibus.>", func(m *nats.Msg) {
		if strings.HasSuffix(m.Subject, ".identify") {
			body, _ := json.Marshal(admin.Problem{Error: core.Errorf(core.KindUnavailable, "not just now")})
			_ = m.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{"Nats-Service-Error-Code": {"unavailable"}}})
			return
		}
		mu.Lock()
		subjects = append(subjects, m.Subject)
		mu.Unlock()
		_ = m.Respond([]byte(`{"cluster":"test","verdict":"healthy"}`))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return srv.ClientURL(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(subjects)
	}
}

// TestNothingIsSentWithoutAProof: a client that knows the cluster's key sends nothing to a
// server that does not prove it, and believes nothing from it. That holds also if the
// server takes the connection over later.
func TestNothingIsSentWithoutAProof(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1})
	c.WaitServing(core.BackendSQLite, 0)
	key := c.Client(0, c.Admin).ClusterKey()
	url, asked := forger(t, "127.0.0.1:0")
	pinned := admin.NewClient(admin.ClientConfig{Servers: []string{url}, Identity: c.Admin, ClusterKey: key, Timeout: time.Second})
	if err := pinned.Open(t.Context()); err == nil {
		t.Cleanup(pinned.Close)
	}
	moved := admin.NewClient(admin.ClientConfig{Servers: []string{c.URL(0), url}, Identity: c.Admin, Timeout: time.Second})
	if err := moved.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moved.Close)
	fine[admin.Status](t)(moved.Status(t.Context()))
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Wait(t, 20*time.Second, func() error {
		if moved.Connected() != "forger" {
			return errors.New("the client has not gone on to the other server")
		}
		return nil
	})
	for what, cl := range map[string]*admin.Client{"a pinned key": pinned, "another server took over": moved} {
		_, err := cl.Status(t.Context())
		wantKind(t, what+": a status", err, core.KindUnavailable)
		_, err = cl.UserRevoke(t.Context(), c.Admin.Public())
		wantKind(t, what+": a revocation", err, core.KindUnavailable)
	}
	if got := asked(); len(got) > 0 {
		t.Errorf("the hostile server was asked %v", got)
	}
}
