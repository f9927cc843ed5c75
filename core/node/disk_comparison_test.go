package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// found waits for a finding of a level whose text and next step have some words.
func found(t *testing.T, cl *admin.Client, level cluster.Level, about string, words ...string) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, f := range st.Judgment.Findings {
			text := f.Text + " " + f.Next
			if f.Level == level && f.About == about && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
				return nil
			}
		}
		return fmt.Errorf("no %s finding about %s says %q: %+v", level, about, words, st.Judgment.Findings)
	})
}

// notFound waits until no finding has the words.
func notFound(t *testing.T, cl *admin.Client, words string) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, f := range st.Judgment.Findings {
			if strings.Contains(f.Text, words) {
				return fmt.Errorf("%s", f.Text)
			}
		}
		return nil
	})
}

// TestFilesRemovedUnderANode: every file and directory that a node uses is a finding once
// it is removed, moved or replaced, and no change is acknowledged that would be lost with it.
func TestFilesRemovedUnderANode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm    func(data, db string) error
		level   cluster.Level
		words   []string
		refused bool // changes are
		undo    func(data, db string) error
	}{
		"the database removed": {func(_, db string) error { return os.Remove(db) }, cluster.Critical, []string{"unibus.db was removed", "unibusd backup"}, true, nil},
		"the database moved": {
			func(_, db string) error { return os.Rename(db, db+".old") }, cluster.Critical,
			[]string{"unibus.db was removed"},
			true,
			func(_, db string) error { return os.Rename(db+".old", db) },
		},
		"the database replaced": {func(_, db string) error {
			if err := os.WriteFile(db+".new", []byte("x"), 0o600); err != nil {
				return err
			}
			return os.Rename(db+".new", db)
		}, cluster.Critical, []string{"unibus.db was replaced"}, true, nil},
		"the log of the database removed": {func(_, db string) error { return os.Remove(db + "-wal") }, cluster.Critical, []string{"unibus.db-wal was removed"}, true, nil},
		"the directory moved": {
			func(data, _ string) error { return os.Rename(data, data+".old") }, cluster.Critical,
			[]string{"the data directory", "was removed or moved"},
			true,
			func(data, _ string) error { return os.Rename(data+".old", data) },
		},
		"the directory removed":     {func(data, _ string) error { return os.RemoveAll(data) }, cluster.Critical, []string{"the data directory", "was removed or moved"}, true, nil},
		"the audit removed":         {func(data, _ string) error { return os.Remove(filepath.Join(data, "audit.jsonl")) }, cluster.Critical, []string{"the audit"}, false, nil},
		"the audit cut":             {func(data, _ string) error { return os.Truncate(filepath.Join(data, "audit.jsonl"), 10) }, cluster.Critical, []string{"the audit", "cut short"}, false, nil},
		"the cluster's key removed": {func(data, _ string) error { return os.Remove(filepath.Join(data, keys.ClusterKeyFile)) }, cluster.Degraded, []string{"the cluster's key", "was removed"}, false, nil},
		"another cluster's key": {func(data, _ string) error {
			seed, _, err := keys.GenerateCluster()
			if err != nil {
				return err
			}
			return keys.Replace(filepath.Join(data, keys.ClusterKeyFile), append(seed, '\n'))
		}, cluster.Degraded, []string{"the cluster's key", "was replaced"}, false, nil},
		"the lock removed": {func(data, _ string) error { return os.Remove(filepath.Join(data, "unibusd.lock")) }, cluster.Degraded, []string{"a second unibusd"}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := nodetest.Identity(t)
			cs := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: seed(first, nodetest.Identity(t))})
			data, db := cs.Configs[0].Data, cs.Configs[0].DB
			cl := cs.Client(0, cs.Admin)
			add := func() error {
				_, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
				return err
			}
			if err := add(); err != nil {
				t.Fatal(err)
			}
			if err := c.harm(data, db); err != nil {
				t.Fatal(err)
			}
			found(t, cl, c.level, "node.n1", c.words...)
			if err := add(); (err != nil) != c.refused {
				t.Errorf("adding a user: %v", err)
			}
			if u, err := cl.UserGet(t.Context(), first.Public()); err != nil || u.Status != core.UserActive {
				t.Errorf("a user from before: %v, %v", u, err)
			}
			if c.undo == nil {
				return
			}
			if err := c.undo(data, db); err != nil {
				t.Fatal(err)
			}
			notFound(t, cl, "was removed")
			if err := add(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEmptiedFollowerIsMentioned: a node whose data directory is removed under it, and that
// then begins with an empty one, is named by every node, also after they are restarted.
func TestEmptiedFollowerIsMentioned(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	cl := c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err == nil && (len(st.InternalBuckets) < 4 || st.Judgment.Verdict != cluster.Healthy) {
			err = fmt.Errorf("%s", st.Judgment.Sentence)
		}
		return err
	})
	for _, name := range []string{"streams.json", "data-ids.json"} { // written again: the next start needs them
		file := filepath.Join(c.Configs[1].Data, name)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		nodetest.Wait(t, nodetest.Convergence, func() error {
			_, err := os.Stat(file)
			return err
		})
	}
	streams := filepath.Join(c.Configs[2].Data, "jetstream", "CONTROL", "streams", "KV_UNIBUS_users")
	if err := os.RemoveAll(streams); err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Critical, "node.n3", "KV_UNIBUS_users", "was removed")
	if err := os.RemoveAll(filepath.Join(c.Configs[2].Data, "jetstream")); err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Critical, "node.n3", "the directory of JetStream", "restart unibusd on n3")
	if err := os.RemoveAll(c.Configs[2].Data); err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Critical, "node.n3", "the data directory", "restart unibusd on n3")
	if err := c.Nodes[2].Close(); err != nil {
		t.Log(err) // it cannot write what it would
	}
	if err := os.RemoveAll(c.Configs[2].Data); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(2); err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Degraded, "node.n3", "began with an empty data directory", "stop no other node")
	notFound(t, cl, "was removed or moved")
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	found(t, c.Client(1, c.Admin), cluster.Degraded, "node.n3", "began with an empty data directory")
	found(t, c.Client(2, c.Admin), cluster.Degraded, "node.n3", "began with an empty data directory") // the others tell it
	notFound(t, cl, "n2 began")
}

// TestCertificateThatIsServed: the expiry is that of the certificate in force, and a new
// certificate beside an old key is a finding that names the file, before anything is refused.
func TestCertificateThatIsServed(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true, Seed: seed(nodetest.Identity(t), nodetest.Identity(t))})
	cl := c.Client(0, c.Admin)
	until := func() core.Millis {
		t.Helper()
		st, err := cl.Status(t.Context())
		if err != nil || st.Nodes[0].Info == nil {
			t.Fatal(err)
		}
		return st.Nodes[0].Info.CertUntil
	}
	nodetest.Wait(t, nodetest.Convergence, func() error {
		if until() == 0 {
			return errors.New("the certificate is not known yet")
		}
		return nil
	})
	before, dir := until(), t.TempDir()
	if err := keys.NodeCert(c.CA, "", []string{"127.0.0.1"}, dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, keys.NodeCertFile))
	if err == nil {
		err = os.WriteFile(c.Configs[0].TLSCert, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	found(t, cl, cluster.Degraded, "node.n1", c.Configs[0].TLSCert, "do not belong together", "goes on with the one from before")
	if now := until(); now != before {
		t.Errorf("until %v, and before until %v", now, before)
	}
	c.Client(0, c.Viewer) // connections go on
	key, err := os.ReadFile(filepath.Join(dir, keys.NodeKeyFile))
	if err == nil {
		err = os.WriteFile(c.Configs[0].TLSKey, key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	notFound(t, cl, "does not use the certificate")
}

// TestCertificateOfADay: one that is new is no finding, and takes its place without a restart.
func TestCertificateOfADay(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, TLS: true, Seed: seed(nodetest.Identity(t), nodetest.Identity(t))})
	cl := c.Client(0, c.Admin)
	for _, step := range []struct {
		left  time.Duration
		level cluster.Level
	}{{23 * time.Hour, cluster.Healthy}, {5 * time.Hour, cluster.Degraded}, {2 * time.Hour, cluster.Critical}} {
		until := writeDayCertificate(t, c, step.left)
		nodetest.Wait(t, 30*time.Second, func() error {
			st, err := cl.Status(t.Context())
			if err != nil {
				return err
			}
			level := cluster.Healthy
			for _, f := range st.Judgment.Findings {
				if strings.Contains(f.Text, "certificate") {
					level = f.Level
				}
			}
			if got := st.Nodes[0].Info.CertUntil; got != until || level != step.level {
				return fmt.Errorf("until %v, want %v: %s, want %s: %+v", got, until, level, step.level, st.Judgment.Findings)
			}
			return nil
		})
	}
}

// writeDayCertificate gives node 0 a certificate of 24 hours of which so much is left.
func writeDayCertificate(t *testing.T, c *nodetest.Cluster, left time.Duration) core.Millis {
	t.Helper()
	ca, err := keys.LoadPair(filepath.Join(c.CA, keys.CACertFile), filepath.Join(c.CA, keys.CAKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(left).Truncate(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(end.UnixNano()), NotBefore: end.Add(-24 * time.Hour), NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err == nil {
		err = os.WriteFile(c.Configs[0].TLSKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600)
	}
	if err == nil {
		err = os.WriteFile(c.Configs[0].TLSCert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return core.MillisOf(end)
}
