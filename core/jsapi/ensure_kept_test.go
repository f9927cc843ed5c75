package jsapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// fakeAPI answers requests to the JetStream API by their verb.
func fakeAPI(t *testing.T, answers map[string]any) Client {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the test's server did not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for verb, answer := range answers {
		body, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Subscribe(Prefix+verb+".S", func(m *nats.Msg) { _ = m.Respond(body) }); err != nil {
			t.Fatal(err)
		}
	}
	return Client{Conn: nc}
}

// TestStreamKeepsItsReplicas: a stream that is there goes on with the replicas that it has; one
// that cannot be created is not there, and another refusal is an error.
func TestStreamKeepsItsReplicas(t *testing.T) {
	t.Parallel()
	refusal := func(code int) any { return map[string]any{"error": Error{Code: 400, ErrCode: code}} }
	there := map[string]any{"config": usable()}
	for name, test := range map[string]struct {
		info, change any
		code         int // of the error, 0: none
	}{
		"it is there":           {there, refusal(CodeNoPeers), 0},
		"it is refused":         {there, refusal(CodeReplicasFixed), CodeReplicasFixed},
		"it cannot be created":  {refusal(CodeStreamNotFound), refusal(CodeNoPeers), CodeNoPeers},
		"it has enough of them": {there, there, 0},
	} {
		c := fakeAPI(t, map[string]any{"STREAM.INFO": test.info, "STREAM.CREATE": test.change, "STREAM.UPDATE": test.change})
		create := usable()
		create.Replicas = 3
		err := c.EnsureKept(t.Context(), create, func(have jetstream.StreamConfig, replicas int) (jetstream.StreamConfig, error) {
			return Repair(have, replicas), nil
		})
		if (err == nil) != (test.code == 0) || err != nil && !Answered(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
