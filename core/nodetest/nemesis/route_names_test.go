//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// nameHosts makes the names resolve to the nodes' addresses, for this process and its children alone.
func nameHosts(t *testing.T, n *nodetest.Net) (names []string) {
	t.Helper()
	text := "127.0.0.1 localhost\n"
	for i, c := range n.Configs {
		host, _, _ := strings.Cut(c.ClusterListen, ":")
		names = append(names, fmt.Sprintf("n%d.example.org", i+1))
		text += host + " " + names[i] + "\n"
	}
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(file, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount("/etc/hosts", syscall.MNT_DETACH) })
	return names
}

// Certificates that name hosts and no address, as the guide for three hosts makes
// them: nodes open routes to the names that they were given, and nothing fails.
func TestRoutesByName(t *testing.T) {
	n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	names := nameHosts(t, n)
	ca := t.TempDir()
	if err := keys.WriteCA(ca); err != nil {
		t.Fatal(err)
	}
	for i := range n.Configs {
		c, out := &n.Configs[i], t.TempDir()
		if err := keys.NodeCert(ca, c.Name, names[i:i+1], out); err != nil {
			t.Fatal(err)
		}
		c.RouteTLSCA, c.RouteTLSCert, c.RouteTLSKey = filepath.Join(ca, keys.CACertFile), filepath.Join(out, keys.NodeCertFile), filepath.Join(out, keys.NodeKeyFile)
		c.ClusterListen, c.Routes = "0.0.0.0:6222", nil
		for _, name := range names {
			c.Routes = append(c.Routes, name+":6222")
		}
		nodetest.WriteConfig(t, c.Data+".toml", *c, "")
	}
	n.StartAll()
	n.WaitServing(core.BackendKV)
	n.Kill(1)
	nodetest.Wait(t, time.Minute, func() error { return checkSays(t, n, 0, "n2 does not answer") })
	n.Start(1)
	n.WaitServing(core.BackendKV)
	for i := range n.Configs {
		nodetest.Wait(t, time.Minute, func() error {
			return checkSilentOn(t, n, i, "each other", "not answer", "again and again", "cannot open a route")
		})
		if log := n.Log(i); strings.Contains(log, "handshake error") {
			t.Errorf("n%d wrote %d lines of failed handshakes, for example:\n%s", i+1, strings.Count(log, "handshake error"), lineWith(log, "handshake error"))
		}
	}
}

// lineWith is the first line that holds a text.
func lineWith(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
