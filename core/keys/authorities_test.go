package keys_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

// bundle is a file of several authorities, with the node certificates that they signed.
type bundle struct {
	path string
	dirs []string
}

func newBundle(t *testing.T, authorities int) bundle {
	t.Helper()
	b := bundle{path: filepath.Join(t.TempDir(), "bundle.crt")}
	for range authorities {
		dir := t.TempDir()
		must(t, keys.WriteCA(dir))
		must(t, keys.NodeCert(dir, "n1", []string{"127.0.0.1"}, dir))
		b.dirs = append(b.dirs, dir)
	}
	return b
}

// pem is the text of the authorities.
func (b bundle) pem(t *testing.T, authorities ...int) []byte {
	t.Helper()
	var out []byte
	for _, i := range authorities {
		text, err := os.ReadFile(filepath.Join(b.dirs[i], keys.CACertFile))
		must(t, err)
		out = append(out, text...)
	}
	return out
}

// trusts says whose node certificates a pool accepts.
func (b bundle) trusts(t *testing.T, pool *x509.CertPool) []bool {
	t.Helper()
	out := make([]bool, len(b.dirs))
	for i, dir := range b.dirs {
		pair, err := keys.LoadPair(filepath.Join(dir, keys.NodeCertFile), filepath.Join(dir, keys.NodeKeyFile))
		must(t, err)
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool})
		out[i] = err == nil
	}
	return out
}

// TestDamagedBundleIsRefusedWhole: a bundle of which a part cannot be read is no bundle.
// Without that part certificates would be refused that the operator meant to be accepted.
func TestDamagedBundleIsRefusedWhole(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 2)
	both := b.pem(t, 0, 1)
	second := bytes.LastIndex(both, []byte("-----BEGIN"))
	flipped := bytes.Clone(both)
	copy(flipped[second+60:], "AAAAAAAAAAAAAAAA")
	for name, text := range map[string][]byte{
		"cut in the second certificate":  both[:second+100],
		"cut in its first line":          both[:second+8],
		"cut in its last line":           both[:len(both)-8],
		"cut in the first certificate":   both[:100],
		"changed bytes":                  flipped,
		"an unreadable first of the two": append([]byte("-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n"), b.pem(t, 1)...),
		"empty":                          nil,
	} {
		must(t, os.WriteFile(b.path, text, 0o600))
		if _, err := keys.LoadPool(b.path); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{
		"two":            both,
		"comments":       append([]byte("# the old one\n"), append(b.pem(t, 0), append([]byte("\n# the new one\n"), b.pem(t, 1)...)...)...),
		"no end of line": bytes.TrimSpace(both),
		"CRLF":           bytes.ReplaceAll(both, []byte("\n"), []byte("\r\n")),
	} {
		must(t, os.WriteFile(b.path, text, 0o600))
		pool, err := keys.LoadPool(b.path)
		must(t, err)
		if got := b.trusts(t, pool); !got[0] || !got[1] {
			t.Errorf("%s: it trusts %v", name, got)
		}
	}
}

// TestAuthoritiesAreReadAgain: the file counts as it is now, and the last good content while
// it cannot be used, which is reported once.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 2)
	must(t, os.WriteFile(b.path, b.pem(t, 0), 0o600))
	var reports []error
	a, err := keys.OpenAuthorities(b.path, func(err error) { reports = append(reports, err) })
	must(t, err)
	for _, step := range []struct {
		name        string
		text        []byte
		first, last bool
		reports     int
	}{
		{"both", b.pem(t, 0, 1), true, true, 0},
		{"damaged", []byte("no certificate"), true, true, 1},
		{"still damaged", []byte("no certificate"), true, true, 1},
		{"the new one", b.pem(t, 1), false, true, 1},
		{"damaged again", []byte("no certificate"), false, true, 2},
	} {
		must(t, os.WriteFile(b.path, step.text, 0o600))
		pool, err := a.Pool()
		must(t, err)
		if got := b.trusts(t, pool); got[0] != step.first || got[1] != step.last || len(reports) != step.reports {
			t.Errorf("%s: it trusts %v, %d reports: %v", step.name, got, len(reports), reports)
		}
	}
	must(t, os.Remove(b.path))
	if pool, err := a.Pool(); err != nil || !b.trusts(t, pool)[1] || len(reports) != 3 {
		t.Errorf("a removed file: %v, %d reports", err, len(reports))
	}
}
