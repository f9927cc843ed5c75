package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestUndeliveredIsKept: a receiver did not take some messages before the process ended. The next process
// sends them, once, in order and with the same delivery. The file has no address, and is deleted with the
// last message.
func TestUndeliveredIsKept(t *testing.T) {
	t.Parallel()
	up := atomic.Bool{}
	r := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if up.Load() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	})
	file := filepath.Join(t.TempDir(), "webhook-queue.json")
	cfg := Config{URLs: []string{r.URL + "/T0KEN"}, AllowPrivate: true, File: file, pause: 1 << 40}
	first, log := newSender(t, cfg)
	for i := range 3 {
		first.Send(map[string]int{"n": i})
	}
	wait(t, says(log, "is tried again"))
	kept, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(kept), "T0KEN") || strings.Count(string(kept), `"body"`) != 3 {
		t.Fatalf("the file has %s, %v", kept, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, says(log, "kept=true"))

	up.Store(true)
	before := r.got()
	newSender(t, cfg)
	wait(t, func() error {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the file is still there: %v", err)
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Join(r.bodies[before:], " "); got != `{"n":0} {"n":1} {"n":2}` {
		t.Errorf("the next run sent %s", got)
	}
	if r.heads[0].Get(HeaderDelivery) != r.heads[before].Get(HeaderDelivery) {
		t.Error("the first message has another delivery")
	}
}

// TestBadQueueFile: a file that is no queue, of a receiver that is gone, or a link is told, and new
// messages are sent.
func TestBadQueueFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"text": {func(p string) error { return os.WriteFile(p, []byte("no JSON"), 0o600) }, "cannot be read"},
		"another webhook": {func(p string) error {
			return os.WriteFile(p, []byte(`[{"receiver":"ab","delivery":"d1","body":{}}]`), 0o600)
		}, "not configured any more"},
		"a directory": {func(p string) error { return os.Mkdir(p, 0o700) }, "cannot be read"},
		"a link":      {func(p string) error { return os.Symlink("/dev/zero", p) }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, ok)
			file := filepath.Join(t.TempDir(), "webhook-queue.json")
			if err := c.make(file); err != nil {
				t.Fatal(err)
			}
			s, log := newSender(t, Config{URLs: []string{r.URL}, AllowPrivate: true, File: file})
			wait(t, says(log, c.says))
			s.Send(map[string]string{"kind": "verdict"})
			wait(t, says(log, "a webhook was told"))
		})
	}
}

// TestSecretIsReadAgain: a new secret signs the next message; one that cannot be read leaves the last.
func TestSecretIsReadAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, ok)
	file := filepath.Join(t.TempDir(), "secret")
	s, log := newSender(t, Config{URLs: []string{r.URL}, AllowPrivate: true, ReadSecret: func() ([]byte, error) { return ReadSecret(file) }})
	signed := func(n int, with string) {
		t.Helper()
		s.Send(map[string]int{"n": n})
		wait(t, func() error {
			if r.got() < n {
				return fmt.Errorf("%d messages", r.got())
			}
			return nil
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		if got := r.heads[n-1].Get(HeaderSignature); got != Signature([]byte(with), r.heads[n-1].Get(HeaderTimestamp), []byte(r.bodies[n-1])) {
			t.Errorf("message %d is not signed with %s", n, with)
		}
	}
	signed(1, secret) // there is no file
	wait(t, says(log, "the last one stays in use"))
	for i, next := range []string{"the second secret of many", "the third secret of many"} {
		if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
			t.Fatal(err)
		}
		signed(i+2, next)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	signed(4, "the third secret of many")
}
