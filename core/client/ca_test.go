package client

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestCAIsReadAgain: the client's file of CAs is replaced while it runs, and counts at its next
// connection. A damaged file leaves the last good one in use.
func TestCAIsReadAgain(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true, CertCheck: time.Millisecond})
	n.WaitServing(core.BackendSQLite, 0)
	ann := newTestUser(t, n, core.RoleMember)
	old := must[[]byte](t)(os.ReadFile(filepath.Join(n.CA, keys.CACertFile)))
	ann.cfg.CA = filepath.Join(t.TempDir(), keys.CACertFile)
	ok(t, os.WriteFile(ann.cfg.CA, old, 0o600))
	client := ann.open()
	events := eventsOf(t, client)

	next := t.TempDir()
	ok(t, keys.WriteCA(next))
	ok(t, keys.NodeCert(next, "", []string{"127.0.0.1"}, next))
	second := must[[]byte](t)(os.ReadFile(filepath.Join(next, keys.CACertFile)))
	ok(t, keys.Replace(ann.cfg.CA, slices.Concat(old, second)))
	for from, to := range map[string]string{keys.NodeKeyFile: n.Configs[0].TLSKey, keys.NodeCertFile: n.Configs[0].TLSCert} {
		ok(t, keys.Replace(to, must[[]byte](t)(os.ReadFile(filepath.Join(next, from)))))
	}
	again := func() {
		t.Helper()
		ok(t, client.nc.ForceReconnect())
		awaitEvent(t, events, func(Connected) bool { return true })
	}
	again()
	state, err := client.nc.TLSConnectionState()
	ok(t, err)
	if pair := must[*tls.Certificate](t)(keys.LoadPair(n.Configs[0].TLSCert, n.Configs[0].TLSKey)); !state.PeerCertificates[0].Equal(pair.Leaf) {
		t.Error("the node does not show its new certificate")
	}
	ok(t, keys.Replace(ann.cfg.CA, second[:len(second)-30]))
	again()
	ok(t, keys.Replace(ann.cfg.CA, second))
	again()
}

// TestRefusedCertificateIsTold: of several nodes one shows a certificate of another CA, and the
// others are not there. The error says so, however the client begins.
func TestRefusedCertificateIsTold(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true})
	n.WaitServing(core.BackendSQLite, 0)
	ann := newTestUser(t, n, core.RoleMember)
	other := t.TempDir()
	ok(t, keys.WriteCA(other))
	ann.cfg.CA = filepath.Join(other, keys.CACertFile)
	ann.cfg.Connect = 3 * time.Second
	for _, port := range nodetest.Ports(t, 3) {
		ann.cfg.Servers = append(ann.cfg.Servers, "tls://127.0.0.1:"+strconv.Itoa(port))
	}
	err := New(ann.cfg).Open(ctx(t))
	want(t, "opening", err, core.KindRefused, nil)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the error is: %v", err)
	}
}
