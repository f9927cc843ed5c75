package blockfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// TestDamageIsFoundBesideARunningServer: blocks that the server wrote have no fault, and each kind
// of damage is one.
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

// TestGapsBetweenBlocks: only what lies between two blocks, before the first or behind the last
// one is a gap, and nothing beside a record that cannot be read.
func TestGapsBetweenBlocks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		blocks      []span
		first, last uint64
		want        []Gap
	}{
		"no block at all":          {nil, 3, 9, []Gap{{3, 9, "1.blk"}}},
		"an empty stream":          {nil, 10, 9, nil},
		"neighbors":                {[]span{{index: 1, first: 1, last: 4}, {index: 2, first: 5, last: 9}}, 1, 9, nil},
		"written since":            {[]span{{index: 1, first: 1, last: 12}}, 1, 9, nil},
		"deleted at the beginning": {[]span{{index: 1, first: 1, last: 9}}, 4, 9, nil},
		"one between":              {[]span{{index: 1, first: 1, last: 4}, {index: 3, first: 7, last: 9}}, 1, 9, []Gap{{5, 6, "2.blk"}}},
		"one that was cut short":   {[]span{{index: 1, first: 1, last: 4}, {index: 2, first: 7, last: 9}}, 1, 9, []Gap{{5, 6, "1.blk"}}},
		"the first":                {[]span{{index: 8, first: 5, last: 9}}, 1, 9, []Gap{{1, 4, "7.blk"}}},
		"the last":                 {[]span{{index: 1, first: 1, last: 4}}, 1, 9, []Gap{{5, 9, "2.blk"}}},
		"tombstones between":       {[]span{{index: 1, first: 1, last: 4}, {index: 2}, {index: 4, first: 7, last: 9}}, 1, 9, []Gap{{5, 6, "3.blk"}}},
		"an end that is damaged":   {[]span{{index: 1, first: 1, last: 3, cut: true}, {index: 2, first: 5, last: 9}}, 1, 9, nil},
		"a damaged beginning":      {[]span{{index: 1, first: 1, last: 3}, {index: 2, first: 6, last: 9, torn: true}}, 1, 9, nil},
		"nothing can be read":      {[]span{{index: 1, first: 1, last: 3}, {index: 2, cut: true}, {index: 3, first: 8, last: 9}}, 1, 9, nil},
		"damage at the end":        {[]span{{index: 1, first: 1, last: 3, cut: true}}, 1, 9, nil},
	} {
		if got := (Report{blocks: test.blocks}).Gaps(test.first, test.last); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestWhatAServerWroteHasNoGap: though messages were deleted. A block that ends before the last
// record has one, without any damage.
func TestWhatAServerWroteHasNoGap(t *testing.T) {
	t.Parallel()
	dir := written(t)
	r, err := Read(t.Context(), dir, "KV_b")
	if gaps := r.Gaps(1, 330); err != nil || len(gaps) != 0 {
		t.Errorf("%v, %v", gaps, err)
	}
	copied := t.TempDir()
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	change(t, copied, "$KV.b.key-299", func(b []byte, at int) []byte { return b[:at-headSize] }) // where a record ends
	r, err = Read(t.Context(), copied, "KV_b")
	if gaps := r.Gaps(1, 330); err != nil || r.Count() != 0 || len(gaps) != 1 || gaps[0].First != 330 {
		t.Errorf("without the last record: %v, %+v, %v", gaps, r, err)
	}
}
