package s3_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/backup/s3"
)

const partBytes = 8 << 20 // of an upload

var _ backup.Destination = (*s3.Bucket)(nil)

// store is an object store that knows what a Bucket asks, and the faults of a test.
type store struct {
	mu      sync.Mutex
	objects map[string][]byte
	uploads map[string]map[string][]byte // parts by id of an upload
	keys    map[string]string            // of uploads
	asked   []string
	fault   func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	down    chan struct{}                                     // ends what hangs
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	fault := s.fault
	s.mu.Unlock()
	if !strings.Contains(r.Header.Get("Authorization"), "Credential=AKID/") {
		refuse(w, http.StatusForbidden, "InvalidAccessKeyId")
		return
	}
	if fault != nil && fault(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != "backups" {
		refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	s.answer(w, r, key, body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>a message</Message></Error>", code)
}

func (s *store) answer(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	id := q.Get("uploadId")
	switch {
	case r.Method == http.MethodGet && key == "" && q.Has("uploads"):
		_, _ = fmt.Fprint(w, "<ListMultipartUploadsResult>")
		for _, id := range slices.Sorted(maps.Keys(s.keys)) {
			if strings.HasPrefix(s.keys[id], q.Get("prefix")) {
				_, _ = fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", s.keys[id], id)
			}
		}
		_, _ = fmt.Fprint(w, "</ListMultipartUploadsResult>")
	case r.Method == http.MethodGet && key == "":
		_, _ = fmt.Fprint(w, "<ListBucketResult>")
		for _, key := range slices.Sorted(maps.Keys(s.objects)) {
			if strings.HasPrefix(key, q.Get("prefix")) {
				_, _ = fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-11-28T00:00:00.000Z</LastModified></Contents>", key, len(s.objects[key]))
			}
		}
		_, _ = fmt.Fprint(w, "</ListBucketResult>")
	case r.Method == http.MethodPost && q.Has("uploads"):
		id := fmt.Sprint("upload", len(s.asked))
		s.uploads[id], s.keys[id] = map[string][]byte{}, key
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><Bucket>backups</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", key, id)
	case r.Method == http.MethodPut && id != "":
		s.uploads[id][fmt.Sprintf("%05s", q.Get("partNumber"))] = body
		sum := md5.Sum(body) //nolint:gosec // the protocol's
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	case r.Method == http.MethodPost && id != "":
		var whole []byte
		for _, n := range slices.Sorted(maps.Keys(s.uploads[id])) {
			whole = append(whole, s.uploads[id][n]...)
		}
		s.objects[key] = whole
		delete(s.uploads, id)
		delete(s.keys, id)
		_, _ = fmt.Fprintf(w, `<CompleteMultipartUploadResult><Bucket>backups</Bucket><Key>%s</Key><ETag>"e-1"</ETag></CompleteMultipartUploadResult>`, key)
	case r.Method == http.MethodDelete && id != "":
		delete(s.uploads, id)
		delete(s.keys, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case s.objects[key] == nil:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("ETag", `"e-1"`)
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(s.objects[key]))
	}
}

func (s *store) set(fault func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *store) held() (objects, uploads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.objects), len(s.uploads)
}

// open starts a store, and returns a bucket of it.
func open(t *testing.T, change func(*s3.Config)) (*store, *s3.Bucket) {
	t.Helper()
	s, cfg := newStore(t)
	if change != nil {
		change(&cfg)
	}
	b, err := s3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

// newStore starts a store.
func newStore(t *testing.T) (*store, s3.Config) {
	t.Helper()
	s := &store{objects: map[string][]byte{"other/notes.txt": []byte("mine")}, uploads: map[string]map[string][]byte{}, keys: map[string]string{}, down: make(chan struct{})}
	srv := httptest.NewTLSServer(s)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(s.down) })
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cfg := s3.Config{
		Endpoint: srv.URL, Bucket: "backups", Prefix: "unibus/", Own: "unibus-test-",
		AccessKey: write("access", "AKID\n"), SecretKey: write("secret", "planted-secret\n"),
		CA:    write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))),
		Stall: 10 * time.Second, Call: 10 * time.Second,
	}
	return s, cfg
}

func put(ctx context.Context, b *s3.Bucket, name string, data []byte) error {
	return b.Put(ctx, name, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
}

// TestBucketKeepsBackups: an object that is put comes back, is listed without the prefix, and is
// deleted.
func TestBucketKeepsBackups(t *testing.T) {
	t.Parallel()
	s, b := open(t, nil)
	if err := b.Check(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"unibus-test-a.db": 5, "unibus-test-b.db": 2*partBytes + 17} {
		data := bytes.Repeat([]byte{byte(size), 1, 2}, size)[:size]
		if err := put(t.Context(), b, name, data); err != nil {
			t.Fatal(name, err)
		}
		r, err := b.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d came back, %v", name, len(got), size, err)
		}
	}
	names, err := b.List(t.Context())
	if err != nil || !slices.Equal(names, []string{"unibus-test-a.db", "unibus-test-b.db"}) {
		t.Errorf("%q, %v", names, err)
	}
	for range 2 { // a second time there is nothing
		if err := b.Remove(t.Context(), "unibus-test-a.db"); err != nil {
			t.Error(err)
		}
	}
	if objects, uploads := s.held(); objects != 2 || uploads != 0 {
		t.Errorf("%d objects, %d uploads", objects, uploads)
	}
}

// TestFaultsOfTheStore: each is told apart, with a next step and without a key, ends in
// time, and leaves no object.
func TestFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	answer := func(status int, code string) func(*store) func(http.ResponseWriter, *http.Request) bool {
		return func(*store) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && status == http.StatusInsufficientStorage {
					return false
				}
				refuse(w, status, code)
				return true
			}
		}
	}
	hang := func(when func(*http.Request) bool) func(*store) func(http.ResponseWriter, *http.Request) bool {
		return func(s *store) func(http.ResponseWriter, *http.Request) bool {
			return func(_ http.ResponseWriter, r *http.Request) bool {
				if !when(r) {
					return false
				}
				<-s.down
				return true
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*s3.Config)
		fault  func(*store) func(http.ResponseWriter, *http.Request) bool
		kind   core.Kind
		text   string
		next   string
	}{
		"refuses":    {nil, answer(http.StatusForbidden, "AccessDenied"), core.KindRefused, "the bucket backups", "rights"},
		"wrong key":  {func(c *s3.Config) { c.AccessKey = c.SecretKey }, nil, core.KindRefused, "the bucket backups", "right key"},
		"no text":    {func(c *s3.Config) { c.AccessKey = c.CA }, nil, core.KindInvalid, "nothing more", "that file"},
		"no key":     {func(c *s3.Config) { c.SecretKey += ".absent" }, nil, core.KindInvalid, "secret.absent", "that file"},
		"no bucket":  {func(c *s3.Config) { c.Bucket = "absent" }, nil, core.KindNotFound, "absent", "make the bucket"},
		"full":       {nil, answer(http.StatusInsufficientStorage, "XMinioStorageFull"), core.KindRefused, "the bucket backups", "free space"},
		"other CA":   {func(c *s3.Config) { c.CA = "" }, nil, core.KindUnavailable, "certificate", "answers"},
		"no store":   {func(c *s3.Config) { c.Endpoint = "https://127.0.0.1:1" }, nil, core.KindUnavailable, "refused", "answers"},
		"hangs":      {func(c *s3.Config) { c.Call, c.Stall = 300*time.Millisecond, 300*time.Millisecond }, hang(func(*http.Request) bool { return true }), core.KindUnavailable, "the bucket backups", "answers"},
		"hangs late": {func(c *s3.Config) { c.Call, c.Stall = 300*time.Millisecond, 300*time.Millisecond }, hang(func(r *http.Request) bool { return r.Method == http.MethodPut }), core.KindUnavailable, "the bucket backups", "answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := open(t, c.change)
			if c.fault != nil {
				s.set(c.fault(s))
			}
			begun := time.Now()
			checkErr := b.Check(t.Context(), 1)
			putErr := put(t.Context(), b, "unibus-test-a.db", []byte("rows"))
			for what, err := range map[string]error{"Check": checkErr, "Put": putErr} {
				if what == "Check" && err == nil && (name == "full" || name == "hangs late") {
					continue
				}
				if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) || !strings.Contains(core.AsError(err).Next, c.next) {
					t.Errorf("%s: %s: %v; next: %s", what, core.KindOf(err), err, core.AsError(err).Next)
				}
				if err != nil && strings.Contains(err.Error()+core.AsError(err).Next, "planted") {
					t.Errorf("%s shows the secret: %v", what, err)
				}
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
			if objects, _ := s.held(); objects != 1 {
				t.Errorf("%d objects", objects)
			}
		})
	}
}

// TestUnfinishedUploadIsRemoved: the next backup removes the upload of a killed process,
// and uploads of others stay.
func TestUnfinishedUploadIsRemoved(t *testing.T) {
	t.Parallel()
	s, b := open(t, nil)
	for id, key := range map[string]string{"1": "unibus/unibus-test-a.db", "2": "unibus/unibus-other-a.db"} {
		s.uploads[id], s.keys[id] = map[string][]byte{}, key
	}
	if err := b.Check(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, uploads := s.held(); uploads != 1 || s.keys["2"] == "" {
		t.Errorf("%d uploads: %v", uploads, s.keys)
	}
}

// TestFailedWriteLeavesNoObject: the source of an upload cannot be read to its end.
func TestFailedWriteLeavesNoObject(t *testing.T) {
	t.Parallel()
	s, b := open(t, nil)
	failed := core.Errorf(core.KindFailed, "the file is damaged")
	err := b.Put(t.Context(), "unibus-test-a.db", func(w io.Writer) error {
		_, _ = w.Write(make([]byte, partBytes+5))
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if objects, uploads := s.held(); objects != 1 || uploads != 0 {
		t.Errorf("%d objects, %d uploads", objects, uploads)
	}
}
