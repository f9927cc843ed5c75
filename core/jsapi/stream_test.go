package jsapi

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func usable() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s.>"}, Replicas: 1, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1,
	}
}

// TestUnusable: each setting that no update can put right has a reason of its own.
func TestUnusable(t *testing.T) {
	t.Parallel()
	if why := Unusable(usable(), "s.>"); why != "" {
		t.Errorf("a right stream is refused: %s", why)
	}
	reasons := map[string]bool{}
	for name, spoil := range map[string]func(*jetstream.StreamConfig){
		"memory":     func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"work":       func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"subject":    func(c *jetstream.StreamConfig) { c.Subjects = []string{"s.>", "t"} },
		"mirror":     func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{Name: "T"} },
		"sealed":     func(c *jetstream.StreamConfig) { c.Sealed = true },
		"not synced": func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
	} {
		c := usable()
		spoil(&c)
		why := Unusable(c, "s.>")
		if why == "" || reasons[why] {
			t.Errorf("%s: %q", name, why)
		}
		reasons[why] = true
	}
}

func TestRepair(t *testing.T) {
	t.Parallel()
	have := usable()
	have.AllowDirect, have.MirrorDirect, have.NoAck, have.RePublish = true, true, true, &jetstream.RePublish{Destination: "x"}
	have.MaxMsgs, have.MaxBytes, have.MaxMsgSize, have.MaxAge = 1, 1, 1, 1
	have.Discard, have.DiscardNewPerSubject = jetstream.DiscardOld, true
	want := usable()
	want.Replicas = 3
	if got := Repair(have, 3); !SameConfig(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	have.Replicas = 5
	if got := Repair(have, 3); got.Replicas != 5 {
		t.Errorf("replicas were lowered to %d", got.Replicas)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	wrapped := fmt.Errorf("writing: %w", &Error{Code: 400, ErrCode: CodeWrongLastConstant})
	if !Answered(wrapped, CodeNoPeers, CodeWrongLastConstant) || Answered(wrapped, CodeNoPeers) || Answered(nil, CodeNoPeers) || !IsConflict(wrapped) {
		t.Error("a wrapped answer is not recognized")
	}
	for code, want := range map[Error]bool{
		{Code: 503}: true, {Code: 429}: true, {Code: 400, ErrCode: CodeNotLeader}: true, {Code: 400, ErrCode: CodeStreamExists}: false, {Code: 404, ErrCode: CodeStreamNotFound}: false,
	} {
		if got := code.IsTransient(); got != want {
			t.Errorf("%+v is transient: %v", code, got)
		}
	}
}
