package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/logtest"
)

const secret = "a secret of many bytes"

// receiver answers with a status after some that fail, and keeps what it got.
type receiverServer struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
}

func newReceiver(t *testing.T, answer func(try int, w http.ResponseWriter, r *http.Request)) *receiverServer {
	t.Helper()
	s := &receiverServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.bodies, s.heads = append(s.bodies, string(body)), append(s.heads, r.Header.Clone())
		try := len(s.bodies)
		s.mu.Unlock()
		answer(try, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *receiverServer) got() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

func newSender(t *testing.T, cfg Config) (*Sender, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	cfg.Secret, cfg.Now, cfg.Logger = []byte(secret), time.Now, slog.New(slog.NewTextHandler(log, nil))
	if cfg.pause == 0 {
		cfg.pause = time.Millisecond
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if strings.Contains(log.String(), secret) || strings.Contains(log.String(), "T0KEN") {
			t.Errorf("the log has a secret: %s", log)
		}
	})
	return s, log
}

// wait checks a condition until it holds.
func wait(t *testing.T, condition func() error) {
	t.Helper()
	end, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for err := condition(); err != nil; err = condition() {
		select {
		case <-end:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

func says(log *logtest.Buffer, text string) func() error {
	return func() error {
		if !strings.Contains(log.String(), text) {
			return fmt.Errorf("the log does not say %q: %s", text, log)
		}
		return nil
	}
}

func ok(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// TestSignedAndTriedAgain: a receiver that fails at first gets the same message again, signed for
// the time of each try.
func TestSignedAndTriedAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(try int, w http.ResponseWriter, _ *http.Request) {
		if try < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s, log := newSender(t, Config{URLs: []string{r.URL + "/T0KEN"}, AllowPrivate: true})
	s.Send(map[string]string{"verdict": "critical"})
	wait(t, says(log, "a webhook was told"))
	if r.got() != 4 || !strings.Contains(log.String(), "tries=4") || strings.Count(log.String(), "is tried again") != 1 {
		t.Errorf("%d tries: %s", r.got(), log)
	}
	for i, body := range r.bodies {
		head := r.heads[i]
		stamp := head.Get(HeaderTimestamp)
		at, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute || head.Get(HeaderSignature) != Signature([]byte(secret), stamp, []byte(body)) ||
			head.Get(HeaderDelivery) == "" || head.Get(HeaderDelivery) != r.heads[0].Get(HeaderDelivery) || !json.Valid([]byte(body)) || body != r.bodies[0] {
			t.Errorf("try %d: %q %v", i+1, body, head)
		}
	}
	const known = "sha256=e5dc9aa8186162d11cfc819cd56ff71c001d1bf6e662b44456418ae7a5c2d2ad" // printf '1764345600.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
	if got := Signature([]byte("0123456789abcdef"), "1764345600", []byte("{}")); got != known {
		t.Errorf("%s is not the signature that openssl computes", got)
	}
}

// TestHangingReceiver: it holds neither the caller nor another receiver, and misses what has no space in
// its queue. The node stops all the same.
func TestHangingReceiver(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hangs := newReceiver(t, func(_ int, _ http.ResponseWriter, _ *http.Request) { <-release })
	defer close(release)
	answers := newReceiver(t, ok)
	s, log := newSender(t, Config{URLs: []string{hangs.URL, answers.URL}, AllowPrivate: true, limit: time.Minute})
	begin := time.Now()
	const messages = queueLength + 10
	for i := range messages {
		s.Send(i)
		wait(t, func() error { // it is told meanwhile
			if answers.got() <= i {
				return fmt.Errorf("%d of %d", answers.got(), i+1)
			}
			return nil
		})
	}
	if hangs.got() != 1 || !strings.Contains(log.String(), "misses a message") {
		t.Errorf("the one that hangs got %d: %s", hangs.got(), log)
	}
	if err := s.Close(); err != nil || time.Since(begin) > 30*time.Second {
		t.Errorf("closed after %s: %v", time.Since(begin), err)
	}
	if !strings.Contains(log.String(), "was not told everything") {
		t.Errorf("what was left is not said: %s", log)
	}
}

// TestSlowReceiver: a try has an end, and so have the tries.
func TestSlowReceiver(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := newReceiver(t, func(_ int, w http.ResponseWriter, req *http.Request) {
		select {
		case <-req.Context().Done():
		case <-release:
		}
		w.WriteHeader(http.StatusOK)
	})
	defer close(release)
	s, log := newSender(t, Config{URLs: []string{r.URL}, AllowPrivate: true, limit: 20 * time.Millisecond})
	s.Send("x")
	wait(t, says(log, "could not be told, and misses a message"))
	if got := r.got(); got > tries || !strings.Contains(log.String(), fmt.Sprintf("tries=%d", tries)) {
		t.Errorf("%d tries: %s", got, log)
	}
}

// TestRedirectIsNotFollowed: not even to the receiver itself.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	inner := newReceiver(t, ok)
	outer := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.URL, http.StatusTemporaryRedirect)
	})
	s, log := newSender(t, Config{URLs: []string{outer.URL}, AllowPrivate: true})
	s.Send("x")
	wait(t, says(log, "misses a message"))
	if inner.got() != 0 || outer.got() != tries || !strings.Contains(log.String(), "redirects are not followed") {
		t.Errorf("inner %d, outer %d: %s", inner.got(), outer.got(), log)
	}
}

// TestPrivateAddressIsNotDialed: neither by its number nor behind a name, and no proxy helps.
func TestPrivateAddressIsNotDialed(t *testing.T) {
	r := newReceiver(t, ok)
	t.Setenv("HTTP_PROXY", r.URL)
	t.Setenv("http_proxy", r.URL)
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		s, log := newSender(t, Config{URLs: []string{"http://" + net.JoinHostPort(strings.Trim(host, "[]"), u.Port()) + "/T0KEN"}})
		s.Send("x")
		wait(t, says(log, "misses a message"))
		if !strings.Contains(log.String(), "--webhook-allow-private") || !strings.Contains(log.String(), "tries=1") {
			t.Errorf("%s: %s", host, log)
		}
	}
	if r.got() != 0 {
		t.Errorf("it was dialed %d times", r.got())
	}
}

// TestSecretFile: a missing, short, long or readable file is refused, and none of its content is repeated.
func TestSecretFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if got, err := ReadSecret(write("good", secret+"\n", 0o600)); err != nil || string(got) != secret {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range []struct {
		path string
		kind core.Kind
		want string
	}{
		{filepath.Join(dir, "none"), core.KindInvalid, "does not exist"},
		{dir, core.KindInvalid, "is not a regular file"},
		{write("open", secret, 0o644), core.KindRefused, "can be read by others"},
		{write("short", "hunter2\n", 0o600), core.KindInvalid, "less than 16 bytes"},
		{write("long", strings.Repeat("hunter2", 1000), 0o600), core.KindInvalid, "at most 4096"},
	} {
		_, err := ReadSecret(c.path)
		if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || core.AsError(err).Next == "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}
}
