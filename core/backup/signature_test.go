package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/store/sqlite"
	"unibus/core/store/sqlite/hostile"
	"unibus/core/store/storetest"
)

// testKey is a cluster's key.
type testKey struct {
	public string
	pair   nkeys.KeyPair
}

func (k testKey) Public() string                { return k.public }
func (k testKey) Sign(m []byte) ([]byte, error) { return k.pair.Sign(m) }

func clusterKey(t testing.TB) testKey {
	t.Helper()
	return keyOf(t, nkeys.CreateCluster)
}

// testKeyOfZeroes is the same at every run.
func testKeyOfZeroes(t testing.TB) testKey {
	t.Helper()
	return keyOf(t, func() (nkeys.KeyPair, error) {
		seed, err := nkeys.EncodeSeed(nkeys.PrefixByteCluster, make([]byte, 32))
		if err != nil {
			return nil, err
		}
		return nkeys.FromSeed(seed)
	})
}

func keyOf(t testing.TB, create func() (nkeys.KeyPair, error)) testKey {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return testKey{public, pair}
}

// signedFile is a backup that node n1 has signed.
func signedFile(t *testing.T, key Signer) (string, Content) {
	t.Helper()
	path := database(t)
	c, err := Check(t.Context(), path)
	must(t, err)
	_, err = sign(t.Context(), key, "n1", path, c, time.UnixMilli(1788249600123))
	must(t, err)
	return path, c
}

func TestRestoreSaysWhoSigned(t *testing.T) {
	t.Parallel()
	key, other := clusterKey(t), clusterKey(t)
	from, content := signedFile(t, key)
	only(t, from)
	to := filepath.Join(t.TempDir(), "new.db")
	for _, expected := range []string{other.Public(), ""} {
		_, err := Restore(t.Context(), database(t), to, Expect{Signer: key.Public()})
		wantKind(t, err, core.KindRefused, "has no signature", key.Public())
		if expected != "" {
			_, err = Restore(t.Context(), from, to, Expect{Signer: expected})
			wantKind(t, err, core.KindRefused, key.Public())
		}
		only(t, to)
	}
	r, err := Restore(t.Context(), from, to, Expect{Signer: key.Public()})
	must(t, err)
	want := Signature{Key: key.Public(), Node: "n1", At: time.UnixMilli(1788249600123).UTC()}
	if r.Signed == nil || *r.Signed != want || !r.Same(content) {
		t.Errorf("%+v", r)
	}
	if got, err := Check(t.Context(), to); err != nil || got.Signed != nil {
		t.Errorf("a database that changes is signed: %+v, %v", got.Signed, err)
	}
	s := sqlite.New(sqlite.Config{Path: to}) // what is restored is served
	must(t, errors.Join(s.Open(t.Context()), s.AddUser(t.Context(), storetest.NewUser(t, "new")), s.Close()))
	// A backup itself is not: with a repair in it, it would not be the signed one.
	for _, cfg := range []sqlite.Config{{Path: from}, {Path: from, ReadOnly: true}, {Path: from, Create: true}} {
		wantKind(t, sqlite.New(cfg).Open(t.Context()), core.KindInvalid, "is a backup")
	}
}

// TestChangedRowsAreNotWhatWasSigned: every change of a signed file is found, and so is one of its signature.
func TestChangedRowsAreNotWhatWasSigned(t *testing.T) {
	t.Parallel()
	key, other := clusterKey(t), clusterKey(t)
	good, content := signedFile(t, key)
	for name, sql := range map[string]string{
		"a user's status":     "UPDATE users SET status = 'active' WHERE status = 'revoked'",
		"a user's role":       "UPDATE users SET role = 'admin' WHERE role = 'member'",
		"a user is gone":      "DELETE FROM room_keys; DELETE FROM members; DELETE FROM epoch_records; DELETE FROM rooms; DELETE FROM users WHERE rowid = 1",
		"a room's epoch":      "UPDATE rooms SET name = 'another'",
		"a box":               "UPDATE room_keys SET box = X'00'",
		"a record":            "UPDATE epoch_records SET record = X'00' WHERE record IS NOT NULL",
		"a member's proof":    "UPDATE members SET proof = X'00'",
		"the signature":       "UPDATE backup_signature SET signature = zeroblob(64)",
		"a short signature":   "UPDATE backup_signature SET signature = X'00'",
		"a text as signature": "UPDATE backup_signature SET signature = 'x'",
		"the key":             "UPDATE backup_signature SET signer = '" + other.Public() + "'",
		"no key":              "UPDATE backup_signature SET signer = 'C'",
		"the node":            "UPDATE backup_signature SET node = 'n2'",
		"the time":            "UPDATE backup_signature SET signed_at = signed_at + 1",
		"the form":            "UPDATE backup_signature SET format = 2",
		"two signatures":      "INSERT INTO backup_signature SELECT * FROM backup_signature",
		"no row":              "DELETE FROM backup_signature",
		"a NULL":              "UPDATE backup_signature SET signer = NULL",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "new.db")
			b, err := os.ReadFile(good)
			must(t, err)
			must(t, os.WriteFile(from, b, 0o600))
			must(t, hostile.Spoil(from, sql))
			if after, err := os.ReadFile(from); err != nil || bytes.Equal(after, b) {
				t.Fatalf("nothing was changed, %v", err)
			}
			_, err = Restore(t.Context(), from, to, Expect{})
			wantKind(t, err, core.KindInvalid)
			if err == nil || core.AsError(err).Next == "" {
				t.Errorf("%v: and then?", err)
			}
			only(t, to)
		})
	}
	// Somebody who may write the file can take the signature away, or sign it: --signer is for that.
	user := keyOf(t, nkeys.CreateUser)
	if verified(user.Public(), []byte("m"), must2(user.Sign([]byte("m")))) {
		t.Error("a user's key counts as a cluster's")
	}
	at := time.UnixMilli(1)
	m := Signature{Key: key.Public(), Node: "n1", At: at}.message(content)
	if m[0] != 0xFF {
		t.Errorf("a message begins with %x, as a nonce may", m[0])
	}
	for _, s := range []Signature{{Key: other.Public(), Node: "n1", At: at}, {Key: key.Public(), Node: "n", At: at}, {Key: key.Public() + "n", Node: "1", At: at}, {Key: key.Public(), Node: "n1", At: at.Add(time.Millisecond)}} {
		if bytes.Equal(m, s.message(content)) {
			t.Errorf("%+v is signed with the same bytes", s)
		}
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestDeskSigns: the node that made a backup signs the file that it hands out, and its size and sum are those of the
// signed file.
func TestDeskSigns(t *testing.T) {
	t.Parallel()
	key := clusterKey(t)
	d := NewServer(ServerConfig{Node: "n7", Sign: key, Dir: filepath.Join(t.TempDir(), "backups"), Make: func(ctx context.Context, path string, _ func(int)) (core.Backup, error) {
		b, err := os.ReadFile(database(t))
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			return core.Backup{}, err
		}
		c, err := Check(ctx, path)
		return core.Backup{Schema: c.Schema, Tables: c.Tables}, err
	}})
	must(t, d.Open(t.Context()))
	defer func() { must(t, d.Close()) }()
	b, err := d.Create(t.Context(), ana(), mine)
	must(t, err)
	p, err := d.Part(t.Context(), ana(), core.BackupPartRequest{Token: mine})
	must(t, err)
	got := filepath.Join(t.TempDir(), "got.db")
	must(t, os.WriteFile(got, p.Data, 0o600))
	if digest, n, err := fileSHA256(got); err != nil || n != b.Bytes || digest != b.SHA256 {
		t.Errorf("%d bytes, %s, %v: announced were %d, %s", n, digest, err, b.Bytes, b.SHA256)
	}
	c, err := Check(t.Context(), got)
	if err != nil || c.Signed == nil || c.Signed.Key != key.Public() || c.Signed.Node != "n7" || time.Since(c.Signed.At) > time.Minute {
		t.Errorf("%+v, %v", c.Signed, err)
	}
}
