package request

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"unibus/core"
	"unibus/core/auth"
)

// TestAnswersOverTheWire: requests are handled at the same time, and each answer goes
// to its caller, with the headers of micro services for an error. The race detector
// fails this test if an answer writes to what the micro service still reads.
func TestAnswersOverTheWire(t *testing.T) {
	t.Parallel()
	srv, err := server.NewServer(&server.Options{ServerName: "n1", DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	connect := func(opts ...nats.Option) *nats.Conn {
		nc, err := nats.Connect("", append(opts, nats.InProcessServer(srv))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	const callers, attempts = 50, 100
	var together sync.WaitGroup
	together.Add(callers / 2)
	s := NewServer(ServerConfig{
		Conn: connect(), Node: "n1", Prefix: "unibus.test.v1.", Limit: callers, LimitPerCaller: callers,
		Envelope: func(out any, failed *core.Error) any { return map[string]any{"out": out, "error": failed} },
		Log:      slog.New(slog.DiscardHandler),
		Services: func() []Service {
			return []Service{{Name: "test", Endpoints: []Endpoint{{
				Name: "verb", Subject: "verb", Timeout: 10 * time.Second,
				Handle: func(_ context.Context, c Call) (any, error) {
					if string(c.Body) == "fail" { // at once, beside the micro service
						return nil, core.Errorf(core.KindConflict, "it fails")
					}
					together.Done()
					together.Wait() // they are under way at the same time
					return string(c.Body), nil
				},
			}}}}
		},
	})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	nc := connect(nats.CustomInboxPrefix(auth.InboxPrefix(callerKey)))
	ask := func(body string, kind core.Kind) {
		msg, err := nc.Request("unibus.test.v1."+callerKey+".verb", []byte(body), 10*time.Second)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		var answer struct{ Out string }
		err = json.Unmarshal(msg.Data, &answer)
		code, text := msg.Header.Get(micro.ErrorCodeHeader), msg.Header.Get(micro.ErrorHeader)
		if err != nil || code != string(kind) || text != code || kind == "" && answer.Out != body {
			t.Errorf("%s: kind %q, want %q, in %s (%v)", body, code, kind, msg.Data, err)
		}
	}
	var work sync.WaitGroup
	for i := range callers {
		work.Go(func() {
			if i%2 > 0 {
				ask(fmt.Sprint(i), "")
				return
			}
			for range attempts {
				ask("fail", core.KindConflict)
			}
		})
	}
	work.Wait()
}
