package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestRecreatedStreamIsTold, also by an observer that knows the first one from an earlier run alone.
func TestRecreatedStreamIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3)
	cfg := Config{Name: "n1", Clustered: true, Expected: 3, System: Conn{b.connect(t, 0, "sys")}, Local: kvFacts, interval: 100 * time.Millisecond, lost: time.Second}
	o := run(t, cfg)
	ctl := b.connect(t, 0, "ctl")
	b.bucket(t, ctl, "UNIBUS_control", 3)
	eventually(t, "the stream", func() bool { return o.Streams()["UNIBUS_control"] != 0 })
	first := o.Streams()

	js, err := jetstream.New(ctl)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := js.DeleteKeyValue(ctx, "UNIBUS_control"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss", func() bool { l := o.View().Lost; return len(l) == 1 && l[0].Recreated == 0 && l[0].Since != 0 })
	b.bucket(t, ctl, "UNIBUS_control", 3)
	again := func(o *Observer) func() bool {
		return func() bool {
			l := o.View().Lost
			return len(l) == 1 && l[0].Created == first["UNIBUS_control"] && l[0].Recreated > l[0].Created
		}
	}
	eventually(t, "the stream in its place", again(o))
	cfg.Streams = o.Streams()
	eventually(t, "another run to know it", again(run(t, cfg)))
	for _, f := range Judge(o.View(), time.Now()).Findings {
		if f.About == "bucket.UNIBUS_control" && f.Level == Critical {
			return
		}
	}
	t.Error("no finding tells of it")
}
