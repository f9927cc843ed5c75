package request

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"unibus/core"
	"unibus/core/auth"
)

// callerKey is a user's public nkey.
const callerKey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

// fakeRequest is a request of callerKey.
type fakeRequest struct{ micro.Request }

func (fakeRequest) Subject() string        { return "unibus.test.v1." + callerKey + ".verb" }
func (fakeRequest) Reply() string          { return auth.InboxPrefix(callerKey) + ".x" }
func (fakeRequest) Headers() micro.Headers { return nil }
func (fakeRequest) Data() []byte           { return nil }

// newTestServer returns a server without a connection, and the kind of each answer: ""
// for one that is not an error.
func newTestServer(limit int) (*Server, <-chan string) {
	s := NewServer(ServerConfig{
		Node: "n1", Prefix: "unibus.test.v1.", Limit: limit, LimitPerCaller: limit,
		Envelope: func(out any, failed *core.Error) any { return map[string]any{"out": out, "error": failed} },
		Log:      slog.New(slog.DiscardHandler),
	})
	answers := make(chan string, 100)
	s.publish = func(m *nats.Msg) error {
		answers <- m.Header.Get(micro.ErrorCodeHeader)
		return nil
	}
	return s, answers
}

// TestNoRequestStartsAfterClose: micro services only begin to drain in Close, so a request can come after it.
func TestNoRequestStartsAfterClose(t *testing.T) {
	t.Parallel()
	s, answers := newTestServer(1)
	calls := 0
	handle := s.handler(Endpoint{Name: "verb", Timeout: time.Second, Handle: func(context.Context, Call) (any, error) {
		calls++
		return json.RawMessage(`1`), nil
	}})
	handle(fakeRequest{})
	if kind := <-answers; kind != "" {
		t.Errorf("the answer before Close is an error of kind %q", kind)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		handle(fakeRequest{})
		if kind := <-answers; kind != string(core.KindUnavailable) {
			t.Errorf("the answer after Close is of kind %q", kind)
		}
	}
	s.work.Wait()
	if calls != 1 {
		t.Errorf("%d requests were handled, want the one before Close", calls)
	}
	ran := false
	s.Go(func(ctx context.Context) { ran = ctx.Err() != nil })
	if !ran {
		t.Error("what a request under way waits for did not run, or without the end of its context")
	}
}

// TestCloseWaitsForRequests: every request that was started has ended when Close returns.
func TestCloseWaitsForRequests(t *testing.T) {
	t.Parallel()
	for range 50 {
		s, _ := newTestServer(100)
		var mu sync.Mutex
		underWay, closed := 0, false
		handle := s.handler(Endpoint{Name: "verb", Timeout: time.Second, Handle: func(ctx context.Context, _ Call) (any, error) {
			mu.Lock()
			underWay++
			if closed {
				t.Error("a request started after Close had returned")
			}
			mu.Unlock()
			defer func() {
				mu.Lock()
				underWay--
				mu.Unlock()
			}()
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() { handle(fakeRequest{}) })
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		closed = true
		if underWay > 0 {
			t.Errorf("%d requests are under way after Close", underWay)
		}
		mu.Unlock()
		callers.Wait()
		s.work.Wait()
	}
}

// TestAnswerEndsTheRequest: a caller that waits for each answer before it asks again has
// one request under way at a time, however soon it asks.
func TestAnswerEndsTheRequest(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]error{"answer": nil, "error": core.Errorf(core.KindConflict, "it fails")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, answers := newTestServer(1)
			handle := s.handler(Endpoint{Name: "verb", Timeout: time.Second, Handle: func(context.Context, Call) (any, error) {
				return nil, fails
			}})
			asked, publish := make(chan bool, 1), s.publish
			s.publish = func(m *nats.Msg) error { // the caller has the answer, and asks again at once
				select {
				case asked <- true:
					handle(fakeRequest{})
				default:
				}
				return publish(m)
			}
			handle(fakeRequest{})
			for range 2 {
				if kind := <-answers; kind == string(core.KindUnavailable) {
					t.Error("the second request came after the first one's answer, and was refused beside it")
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
