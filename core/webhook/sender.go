package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	randv2 "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"unibus/core"
)

// The headers of a request. The signature is HMAC-SHA256 over the timestamp, a period and the body.
const (
	HeaderTimestamp = "Unibus-Timestamp" // seconds of Unix time, of this try
	HeaderSignature = "Unibus-Signature" // sha256= and hexadecimal digits
	HeaderDelivery  = "Unibus-Delivery"  // the same in each try
)

const (
	queueLength = 50
	tries       = 8
	tryTimeout  = 10 * time.Second
	firstPause  = time.Second
	maxPause    = 2 * time.Minute
	maxAge      = 15 * time.Minute // nothing is tried any more that is older
	maxAnswer   = 16 << 10         // bytes of an answer that are read, to use the connection again
)

// Config is what a Sender needs.
type Config struct {
	URLs         []string // as core/config has checked them
	Secret       []byte
	ReadSecret   func() ([]byte, error) // reads it again for each try; nil: it stays
	File         string                 // keeps what is not delivered yet across an end of the process; "": it is lost then
	AllowPrivate bool
	Now          func() time.Time
	Logger       *slog.Logger

	// Tests may change these.
	pause time.Duration // the first one; 0: firstPause
	limit time.Duration // of one try; 0: tryTimeout
}

// Sender sends documents to each receiver in their order.
type Sender struct {
	cfg       Config
	receivers []*receiver
	end       context.CancelFunc
	work      sync.WaitGroup

	mu      sync.Mutex
	secret  []byte   // the last one that could be read
	waiting []queued // in the file
}

// receiver has a queue of its own: one that hangs does not hold the others.
type receiver struct {
	name   string // scheme and host: the rest may be a secret
	url    string
	client *http.Client
	queue  chan delivery
}

// delivery is one document on its way.
type delivery struct {
	id   string
	body []byte
	at   time.Time
}

// New makes a Sender; it does no I/O. KindInvalid for a bad address.
func New(cfg Config) (*Sender, error) {
	if cfg.pause == 0 {
		cfg.pause = firstPause
	}
	if cfg.limit == 0 {
		cfg.limit = tryTimeout
	}
	s := &Sender{cfg: cfg, secret: cfg.Secret}
	for _, text := range cfg.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, core.Errorf(core.KindInvalid, "a webhook is not an address").WithNext("give the whole address, for example https://alerts.example/unibus")
		}
		s.receivers = append(s.receivers, &receiver{name: shortName(u), url: text, client: newClient(cfg), queue: make(chan delivery, queueLength)})
	}
	return s, nil
}

func shortName(u *url.URL) string { return u.Scheme + "://" + u.Host }

// newClient follows no redirect, uses no proxy, and checks each address that it dials.
func newClient(cfg Config) *http.Client {
	dialer := &net.Dialer{Timeout: cfg.limit}
	if !cfg.AllowPrivate {
		dialer.Control = refusePrivate
	}
	return &http.Client{
		Timeout:       cfg.limit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: cfg.limit,
			ResponseHeaderTimeout: cfg.limit, MaxResponseHeaderBytes: maxAnswer, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
	}
}

// Open begins to send.
func (s *Sender) Open(context.Context) error {
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.load()
	for _, r := range s.receivers {
		s.work.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case d := <-r.queue:
					s.deliver(ctx, r, d)
				}
			}
		})
	}
	return nil
}

// Close ends the tries that are under way, and says what was not sent. Twice is harmless.
func (s *Sender) Close() error {
	if s.end == nil {
		return nil
	}
	s.end()
	s.work.Wait()
	s.end = nil
	for _, r := range s.receivers {
		if left := len(r.queue); left > 0 {
			s.cfg.Logger.Warn("the node stops, and a webhook was not told everything", "receiver", r.name, "messages", left, "kept", s.cfg.File != "")
		}
		r.client.CloseIdleConnections()
	}
	return nil
}

// Send queues a document for each receiver. It does not wait: where a queue is full, that receiver
// misses it, and the log says so.
func (s *Sender) Send(document any) {
	body, err := json.Marshal(document)
	if err != nil {
		s.cfg.Logger.Error("a message for webhooks cannot be encoded", "error", err)
		return
	}
	d := delivery{id: newID(), body: body, at: s.cfg.Now()}
	for _, r := range s.receivers {
		s.note(r, d) // first: it may be delivered at once
		select {
		case r.queue <- d:
		default:
			s.forget(r, d)
			s.cfg.Logger.Error("a webhook does not take what it is told, and misses a message", "receiver", r.name, "delivery", d.id)
		}
	}
}

func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// deliver tries until the receiver takes the message, or its tries or its time are over.
func (s *Sender) deliver(ctx context.Context, r *receiver, d delivery) {
	defer func() {
		if ctx.Err() == nil { // else the next run goes on with it
			s.forget(r, d)
		}
	}()
	pause := s.cfg.pause
	for try := 1; ; try++ {
		err := s.post(ctx, r, d)
		switch {
		case err == nil:
			s.cfg.Logger.Info("a webhook was told", "receiver", r.name, "delivery", d.id, "tries", try)
			return
		case ctx.Err() != nil:
			s.cfg.Logger.Warn("the node stops, and a webhook was not told", "receiver", r.name, "delivery", d.id, "kept", s.cfg.File != "")
			return
		case try == tries || isPrivateError(err) || s.cfg.Now().Sub(d.at) > maxAge:
			s.cfg.Logger.Error("a webhook could not be told, and misses a message", "receiver", r.name, "delivery", d.id, "tries", try, "error", err)
			return
		case try == 1:
			s.cfg.Logger.Warn("a webhook could not be told yet, and is tried again", "receiver", r.name, "delivery", d.id, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + randv2.N(pause)):
		}
		pause = min(2*pause, maxPause)
	}
}

// currentSecret is what the file has now, or had when it could be read last.
func (s *Sender) currentSecret() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.ReadSecret == nil {
		return s.secret
	}
	secret, err := s.cfg.ReadSecret()
	if err != nil {
		s.cfg.Logger.Warn("the secret of webhooks cannot be read any more; the last one stays in use", "error", err)
		return s.secret
	}
	s.secret = secret
	return secret
}

func isPrivateError(err error) bool {
	_, is := errors.AsType[*privateError](err)
	return is
}

// post makes one try.
func (s *Sender) post(ctx context.Context, r *receiver, d delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(d.body))
	if err != nil {
		return withoutURL(err)
	}
	stamp := strconv.FormatInt(s.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "unibusd")
	req.Header.Set(HeaderDelivery, d.id)
	req.Header.Set(HeaderTimestamp, stamp)
	req.Header.Set(HeaderSignature, Signature(s.currentSecret(), stamp, d.body))
	resp, err := r.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // what it says does not matter
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("the receiver answered %d, a redirect, and redirects are not followed", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return fmt.Errorf("the receiver answered %d", resp.StatusCode)
	}
	return nil
}

// withoutURL is an error without the address, which may have a token in it.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if p, ok := errors.AsType[*privateError](err); ok {
		return p
	}
	return core.Errorf(core.KindUnavailable, "%s", err)
}

// Signature is what HeaderSignature has.
func Signature(secret []byte, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(timestamp + "."))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
