package keys_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/keys"
)

func TestSeedRoundTrip(t *testing.T) {
	t.Parallel()
	path, public := seedFile(t)
	id, err := keys.ReadSeed(path)
	if err != nil {
		t.Fatal(err)
	}
	if id.Public() != public || public[0] != 'U' {
		t.Fatalf("public key %q, want %q", id.Public(), public)
	}
	sig, err := id.Sign([]byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	kp, _ := nkeys.FromPublicKey(public)
	if err := kp.Verify([]byte("nonce"), sig); err != nil {
		t.Errorf("the signature is not the key's: %v", err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
}

func TestWriteSeedNeverOverwrites(t *testing.T) {
	t.Parallel()
	path, _ := seedFile(t)
	before, _ := os.ReadFile(path)
	wantKind(t, keys.WriteSeed(path, []byte("SUOTHER")), core.KindExists, path, "")
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	missing := filepath.Join(t.TempDir(), "not there", "k.nk")
	wantKind(t, keys.WriteSeed(missing, before), core.KindNotFound, "does not exist", "mkdir -p '")
}

func TestReadSeedRefuses(t *testing.T) {
	t.Parallel()
	good, _ := seedFile(t)
	seed, _ := os.ReadFile(good)
	account, _ := nkeys.CreateAccount()
	accountSeed, _ := account.Seed()
	put := func(name string, data []byte, mode os.FileMode) string {
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, data, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	group := put("g.nk", seed, 0o640)
	spaced := put("a b's.nk", seed, 0o604)
	for _, c := range []struct {
		name, path string
		kind       core.Kind
		text, next string
	}{
		{"group", group, core.KindRefused, "mode 0640", "chmod 600 " + group},
		{"others, a path to be quoted", spaced, core.KindRefused, "mode 0604", `b'\''s.nk'`},
		{"link", link, core.KindRefused, "symbolic link", ""},
		{"directory", t.TempDir(), core.KindRefused, "not a regular file", ""},
		{"pipe", fifo, core.KindRefused, "not a regular file", ""},
		{"missing", filepath.Join(t.TempDir(), "x"), core.KindNotFound, "does not exist", ""},
		{"empty", put("e.nk", nil, 0o600), core.KindInvalid, "not an nkey seed", "keygen"},
		{"garbage", put("r.nk", []byte("hello\x00"), 0o600), core.KindInvalid, "not an nkey seed", "keygen"},
		{"account", put("acc.nk", accountSeed, 0o600), core.KindInvalid, "another kind", "keygen"},
		{"cut short", put("s.nk", seed[:20], 0o600), core.KindInvalid, "not an nkey seed", "keygen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := keys.ReadSeed(c.path)
			wantKind(t, err, c.kind, c.text, c.next)
			if err != nil && strings.Contains(err.Error(), "SU") {
				t.Errorf("the error shows a seed: %v", err)
			}
		})
	}
}

func TestZeroIdentitySignsNothing(t *testing.T) {
	t.Parallel()
	_, err := keys.Identity{}.Sign([]byte("n"))
	wantKind(t, err, core.KindFailed, "no identity", "")
}

func seedFile(t *testing.T) (path, public string) {
	t.Helper()
	seed, public, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "id.nk")
	if err := keys.WriteSeed(path, seed); err != nil {
		t.Fatal(err)
	}
	return path, public
}

func wantKind(t *testing.T, err error, kind core.Kind, text, next string) {
	t.Helper()
	if core.KindOf(err) != kind {
		t.Fatalf("error %v of kind %q, want %q", err, core.KindOf(err), kind)
	}
	e := core.AsError(err)
	if !strings.Contains(e.Text, text) || !strings.Contains(e.Next, next) {
		t.Errorf("text %q, next %q; want %q and %q in them", e.Text, e.Next, text, next)
	}
}
