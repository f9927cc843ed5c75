package blockfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
)

// written starts a server and has it write 300 keys, with headers among them, and deletes some.
// It runs on, and has every block in memory.
func written(t *testing.T) (dir string) {
	t.Helper()
	store := t.TempDir()
	srv, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: store, SyncAlways: true, NoSigs: true, NoLog: true})
	must(t, err)
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
	must(t, err)
	for i := range 300 {
		_, err := kv.Put(t.Context(), fmt.Sprintf("key-%03d", i), bytes.Repeat([]byte{byte(i)}, 1+7*i))
		must(t, err)
		if i%10 == 0 {
			must(t, kv.Delete(t.Context(), fmt.Sprintf("key-%03d", i))) // with a header
		}
	}
	return filepath.Join(store, "jetstream", "$G", "streams", "KV_b", "msgs")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// change writes at a place of the first block that has some bytes.
func change(t *testing.T, dir, at string, edit func(block []byte, at int) []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	must(t, err)
	for _, p := range paths {
		block, err := os.ReadFile(p)
		must(t, err)
		if i := bytes.Index(block, []byte(at)); i >= 0 {
			must(t, os.WriteFile(p, edit(block, i), 0o600))
			return
		}
	}
	t.Fatalf("no block has %s", at)
}

// TestDamageIsFoundBesideARunningServer: what the server wrote has no fault, and each kind of
// damage is one.
func TestDamageIsFoundBesideARunningServer(t *testing.T) {
	t.Parallel()
	dir := written(t)
	r, err := Read(t.Context(), dir, "KV_b")
	if err != nil || r.Count() != 0 || r.Records < 300 {
		t.Fatalf("as the server wrote it: %+v, %v", r, err)
	}
	all := r.Records
	for name, test := range map[string]struct {
		subject string
		edit    func(block []byte, at int) []byte
		found   bool // the record is known by its subject
	}{
		"a bit of the value":   {"$KV.b.key-123", func(b []byte, at int) []byte { b[at+20] ^= 1; return b }, true},
		"a bit of a header":    {"KV-Operation", func(b []byte, at int) []byte { b[at] ^= 1; return b }, false},
		"a bit of the subject": {"$KV.b.key-123", func(b []byte, at int) []byte { b[at+6] ^= 1; return b }, false},
		"a bit of the time":    {"$KV.b.key-123", func(b []byte, at int) []byte { b[at-4] ^= 1; return b }, true},
		"a length":             {"$KV.b.key-123", func(b []byte, at int) []byte { b[at-headSize+2] ^= 0xff; return b }, false},
		"a region of zeroes":   {"$KV.b.key-123", func(b []byte, at int) []byte { clear(b[at-headSize : at+4000]); return b }, false},
		"an end that is cut":   {"$KV.b.key-299", func(b []byte, at int) []byte { return b[:at+9] }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := t.TempDir()
			must(t, os.CopyFS(filepath.Join(copied, "msgs"), os.DirFS(dir)))
			at := filepath.Join(copied, "msgs")
			change(t, at, test.subject, test.edit)
			r, err := Read(t.Context(), at, "KV_b")
			if err != nil || r.Count() != 1 || r.Records >= all {
				t.Errorf("%s: %d of %d records, damaged %+v, %v", name, r.Records, all, r.Damaged, err)
			} else if test.found && (r.Damaged[0].Subject != test.subject || r.Damaged[0].Sequence == 0) {
				t.Errorf("%s: %+v", name, r.Damaged[0])
			}
		})
	}
	if r, err := Read(t.Context(), dir, "KV_c"); err != nil || r.Count() != all || len(r.Damaged) != MaxDamaged {
		t.Errorf("as another stream's: %d damaged, %d listed, %v", r.Count(), len(r.Damaged), err)
	}
	if _, err := Read(t.Context(), dir+"none", "KV_b"); core.KindOf(err) != core.KindNotFound {
		t.Errorf("no directory: %v", err)
	}
}
