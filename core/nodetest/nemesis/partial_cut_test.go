//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// checkSays is nil if a node says all of the parts, in what it shows first or in what it advises.
func checkSays(t *testing.T, n *nodetest.Net, i int, parts ...string) error {
	t.Helper()
	text, err := findings(t, n, i)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("n%d does not say %q, but:\n%s", i+1, part, text)
		}
	}
	return nil
}

// checkSilentOn is nil if a node says nothing of the kind.
func checkSilentOn(t *testing.T, n *nodetest.Net, i int, parts ...string) error {
	t.Helper()
	text, err := findings(t, n, i)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if strings.Contains(text, part) {
			return fmt.Errorf("n%d says %q:\n%s", i+1, part, text)
		}
	}
	return nil
}

// findings are the texts and the advice of what a node found. That these clusters have no
// TLS for clients is none of their faults here.
func findings(t *testing.T, n *nodetest.Net, i int) (string, error) {
	t.Helper()
	cl := n.Client(i)
	defer cl.Close()
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		return "", err
	}
	text := ""
	for _, f := range st.Findings {
		if f.About != "config" {
			text += "\n" + f.Text + "\n" + f.Next
		}
	}
	return text, nil
}

// Only the path between n1 and n3 is cut: every node says the same, and none asks
// that a node be started which is up.
func TestPartialCut(t *testing.T) {
	t.Parallel()
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	n.WaitServing(core.BackendKV)
	n.Cut(0, 2)
	for i := range n.Configs {
		nodetest.Wait(t, 2*time.Minute, func() error {
			return checkSays(t, n, i,
				"n1 and n3 do not hear each other; both are up", "If n2 stops, the meta group has 1 of 3", "between n1 and n3", n.Configs[2].ClusterListen)
		})
		text, err := findings(t, n, i)
		t.Logf("n%d: %s (%v)", i+1, text, err)
		if err := checkSilentOn(t, n, i, "start unibusd", "does not answer", "If n1 ", "If n3 "); err != nil {
			t.Error(err)
		}
	}
	n.Heal()
	for i := range n.Configs {
		nodetest.Wait(t, 2*time.Minute, func() error { return checkSilentOn(t, n, i, "each other", "not answer", "no leader") })
	}
}

// A silent node's cause decides the advice: not running, hung, and cut off.
func TestCausesOfSilence(t *testing.T) {
	t.Parallel()
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	n.WaitServing(core.BackendKV)
	addr := n.Configs[2].ClusterListen
	both := func(parts ...string) {
		t.Helper()
		for i := range 2 {
			nodetest.Wait(t, 2*time.Minute, func() error { return checkSays(t, n, i, parts...) })
			text, err := findings(t, n, i)
			t.Logf("n%d: %s (%v)", i+1, text, err)
		}
	}
	n.Kill(2)
	both("n3 does not answer: unibusd does not run there", addr, "start unibusd on n3")
	n.Start(2)
	n.WaitServing(core.BackendKV)
	n.Pause(2)
	both("n3 does not answer: its process hangs", addr, "restart unibusd on n3")
	n.Resume(2)
	n.WaitServing(core.BackendKV)
	n.Isolate(2)
	both("n3 does not answer: its host does not reply to n1 and n2", addr, "route and firewall")
	nodetest.Wait(t, 2*time.Minute, func() error {
		return checkSays(t, n, 2, "check the network of n3 first", "hears no other node")
	})
	n.Heal()
	n.WaitServing(core.BackendKV)
}

// replaceRouteCert puts a certificate and its key into the place of node i's.
func replaceRouteCert(t *testing.T, n *nodetest.Net, i int, cert, key string) {
	t.Helper()
	for from, to := range map[string]string{cert: n.Configs[i].RouteTLSCert, key: n.Configs[i].RouteTLSKey} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A node whose route certificate the others refuse is up: it must not be said that it
// needs a start, and both sides name the file. A node with a certificate that its own
// authorities did not sign does not start, so that the second one brings its authority.
func TestRefusedRouteCertificate(t *testing.T) {
	t.Parallel()
	n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	other := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	n.StartAll()
	n.WaitServing(core.BackendKV)
	host, _, _ := strings.Cut(n.Configs[2].ClusterListen, ":")
	expired := nodetest.RouteCert(t, filepath.Dir(n.Configs[2].RouteTLSCA), "n3", host, time.Now().Add(-time.Hour))
	for _, c := range []struct {
		cert, key, ca, reason string
		own                   []string // what n3 says
	}{
		{filepath.Join(expired, keys.NodeCertFile), filepath.Join(expired, keys.NodeKeyFile), n.Configs[2].RouteTLSCA, "it expired on ", []string{"refuse the route certificate of n3", "expired certificate", "renew " + n.Configs[2].RouteTLSCert + " on n3"}},
		{other.Configs[2].RouteTLSCert, other.Configs[2].RouteTLSKey, other.Configs[2].RouteTLSCA, "the authority in --route-tls-ca did not sign it", []string{"check --route-tls-ca and the clock of n3 first"}},
	} {
		n.Stop(2)
		replaceRouteCert(t, n, 2, c.cert, c.key)
		n.Configs[2].RouteTLSCA = c.ca
		nodetest.WriteConfig(t, n.Configs[2].Data+".toml", n.Configs[2], "")
		n.Start(2)
		for i := range 2 {
			nodetest.Wait(t, 2*time.Minute, func() error {
				return checkSays(t, n, i, "n3 does not answer: its route certificate is refused by n1 and n2: "+c.reason, "renew "+n.Configs[2].RouteTLSCert+" on n3")
			})
			if err := checkSilentOn(t, n, i, "start unibusd"); err != nil {
				t.Error(err)
			}
		}
		nodetest.Wait(t, 2*time.Minute, func() error {
			return checkSays(t, n, 2, c.own...)
		})
	}
	n.Stop(2)
	for i, starts := range []int{1, 1, 3} { // a route is tried each second, and a probe every other
		loggedOnce(t, n.Log(i), "handshake error", starts)
	}
}

// loggedOnce fails for a line with a text that is more than once in the log of a process, apart
// from the summary that counts it: ports, numbers and times of day make no new line.
func loggedOnce(t *testing.T, log, text string, starts int) {
	t.Helper()
	differs := regexp.MustCompile(`time=\S+|:\d+ - rid:\d+|current time \S+`)
	seen := map[string]int{}
	for line := range strings.Lines(log) {
		if !strings.Contains(line, text) || strings.Contains(line, " repeated=") {
			continue
		}
		key := differs.ReplaceAllString(line, "")
		if seen[key]++; seen[key] > starts {
			t.Errorf("in %d runs %d times: %s", starts, seen[key], line)
		}
	}
}

// A node that one other alone hears is not removed, whichever node is asked: it is up, and
// would go on with what it has. Once it is dead, it is removed.
func TestNodeRemovalUnderPartialCut(t *testing.T) {
	t.Parallel()
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{Nodes: 4, Store: core.BackendKV, Replicas: 3, Listed: true})
	n.WaitServing(core.BackendKV)
	n.Partition([]int{0, 1, 2}, []int{2, 3})
	for i := range 3 {
		nodetest.Wait(t, 2*time.Minute, func() error {
			return checkSays(t, n, i, "n1 and n4 do not hear each other; both are up", "n2 and n4 do not hear each other; both are up")
		})
		cl := n.Client(i)
		_, err := cl.NodeRemove(t.Context(), "n4")
		cl.Close()
		if core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), "n4 cannot be removed: it is running") {
			t.Errorf("n%d was asked to remove n4: %v", i+1, err)
		}
		t.Logf("n%d was asked to remove n4: %v", i+1, err)
	}
	n.Kill(3)
	cl := n.Client(0)
	defer cl.Close()
	nodetest.Wait(t, 2*time.Minute, func() error {
		_, err := cl.NodeRemove(t.Context(), "n4")
		return err
	})
	n.Heal()
	for i := range 3 {
		nodetest.Wait(t, 2*time.Minute, func() error { return checkSilentOn(t, n, i, "n4", "each other", "no leader") })
	}
}
