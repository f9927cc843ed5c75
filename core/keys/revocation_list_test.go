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

// TestRevocationsOfTwoAuthorities: while one CA replaces another, a file holds the lists of
// both. A list of the new one starts at number 1 and is not older than the old one's. It
// becomes so if it lacks a revocation of an authority that is still trusted.
func TestRevocationsOfTwoAuthorities(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 2)
	var lists [][]byte
	for i, dir := range b.dirs {
		for range 2 - i { // the old authority's list has number 2
			other := t.TempDir()
			must(t, keys.NodeCert(dir, "n2", []string{"n2"}, other))
			must(t, keys.Revoke(filepath.Join(other, keys.NodeCertFile), dir))
		}
		must(t, keys.Revoke(filepath.Join(dir, keys.NodeCertFile), dir))
		text, err := os.ReadFile(filepath.Join(dir, keys.CRLFile))
		must(t, err)
		lists = append(lists, text)
	}
	crl := filepath.Join(t.TempDir(), keys.CRLFile)
	load := func(list []byte, authorities ...int) (*keys.Revocations, error) {
		must(t, os.WriteFile(crl, list, 0o600))
		must(t, os.WriteFile(b.path, b.pem(t, authorities...), 0o600))
		return keys.LoadRevocations(crl, b.path)
	}
	both := append(append([]byte{}, lists[0]...), lists[1]...)
	old, err := load(lists[0], 0, 1)
	must(t, err)
	overlap, err := load(both, 0, 1)
	must(t, err)
	early, err := load(lists[1], 0, 1)
	must(t, err)
	last, err := load(both, 1)
	must(t, err)
	if overlap.OlderThan(old) || last.OlderThan(overlap) {
		t.Error("the lists of both authorities count as older than the old one's")
	}
	if !early.OlderThan(overlap) || !early.OlderThan(old) {
		t.Error("the new authority's list alone takes back what the old one has revoked, and the old one is still trusted")
	}
	for i, dir := range b.dirs {
		pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
		must(t, err)
		if !overlap.Has(pair.Leaf) || last.Has(pair.Leaf) != (i == 1) {
			t.Errorf("the certificate of authority %d: revoked by both lists %v, by the last %v", i, overlap.Has(pair.Leaf), last.Has(pair.Leaf))
		}
	}
	_, err = load(lists[0], 1)
	wantKind(t, err, core.KindInvalid, "not signed", "")
	_, err = load(both[:len(both)-40], 0, 1)
	wantKind(t, err, core.KindInvalid, "no certificate revocation list", "")
}
