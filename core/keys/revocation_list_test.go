package keys_test

import (
	"os"
	"path/filepath"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

func TestNodeNameInCertificate(t *testing.T) {
	t.Parallel()
	ca := t.TempDir()
	must(t, keys.WriteCA(ca))
	for host, want := range map[string]string{"n1.example.org": "n1", "n2": "n2", "203.0.113.7": ""} {
		dir := t.TempDir()
		must(t, keys.NodeCert(ca, keys.NameFromHosts([]string{host}), []string{host}, dir))
		if got := nodeName(t, dir); got != want {
			t.Errorf("the certificate for %s names the node %q, want %q", host, got, want)
		}
	}
	dir := t.TempDir()
	must(t, keys.NodeCert(ca, "n_3", []string{"203.0.113.7"}, dir))
	if got := nodeName(t, dir); got != "n_3" {
		t.Errorf("the certificate names the node %q", got)
	}
	wantKind(t, keys.NodeCert(ca, "n 3", []string{"203.0.113.7"}, t.TempDir()), core.KindInvalid, "n 3", "")
}

func nodeName(t *testing.T, dir string) string {
	t.Helper()
	pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
	must(t, err)
	return keys.NodeName(pair.Leaf)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	ca := t.TempDir()
	must(t, keys.WriteCA(ca))
	caFile, crl := filepath.Join(ca, keys.CACertFile), filepath.Join(ca, keys.CRLFile)
	var dirs []string
	for _, name := range []string{"n1", "n2", "n3"} {
		dir := t.TempDir()
		must(t, keys.NodeCert(ca, name, []string{name}, dir))
		dirs = append(dirs, dir)
	}
	for n, dir := range dirs[:2] {
		for range 2 { // the second time changes nothing
			must(t, keys.Revoke(filepath.Join(dir, keys.NodeCertFile), ca))
		}
		list, err := keys.LoadRevocations(crl, caFile)
		must(t, err)
		if list.Number != int64(n+1) {
			t.Errorf("the list has number %d after %d certificates", list.Number, n+1)
		}
		for i, other := range dirs {
			pair, err := keys.LoadPair(filepath.Join(other, keys.NodeCertFile), filepath.Join(other, keys.NodeKeyFile))
			must(t, err)
			if list.Has(pair.Leaf) != (i <= n) {
				t.Errorf("after %d: n%d is revoked: %v", n+1, i+1, list.Has(pair.Leaf))
			}
		}
	}
}

func TestRevokeRefusesWhatIsNotTheAuthoritys(t *testing.T) {
	t.Parallel()
	ca, other := t.TempDir(), t.TempDir()
	must(t, keys.WriteCA(ca))
	must(t, keys.WriteCA(other))
	must(t, keys.NodeCert(other, "", []string{"n1"}, other))
	cert := filepath.Join(other, keys.NodeCertFile)
	wantKind(t, keys.Revoke(cert, ca), core.KindInvalid, "was not issued by", "")
	wantKind(t, keys.Revoke(filepath.Join(ca, keys.CACertFile), ca), core.KindInvalid, "authority", "")
	if _, err := os.Stat(filepath.Join(ca, keys.CRLFile)); err == nil {
		t.Error("a refused revocation wrote a list")
	}
	must(t, keys.Revoke(cert, other))
	_, err := keys.LoadRevocations(filepath.Join(other, keys.CRLFile), filepath.Join(ca, keys.CACertFile))
	wantKind(t, err, core.KindInvalid, "not signed", "")
	_, err = keys.LoadRevocations(filepath.Join(ca, "x.crl"), filepath.Join(ca, keys.CACertFile))
	wantKind(t, err, core.KindNotFound, "x.crl", "")
	_, err = keys.LoadRevocations(cert, filepath.Join(ca, keys.CACertFile))
	wantKind(t, err, core.KindInvalid, "no certificate revocation list", "")
	must(t, os.Rename(filepath.Join(other, keys.CRLFile), filepath.Join(ca, keys.CRLFile)))
	must(t, keys.NodeCert(ca, "", []string{"n2"}, ca))
	wantKind(t, keys.Revoke(filepath.Join(ca, keys.NodeCertFile), ca), core.KindInvalid, "not signed", "") // it is not overwritten
}
