package cluster

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
)

var record = flag.Bool("record", false, "write the recorded answers in testdata anew, from real servers")

// TestRecordAnswers makes the situations that are hard to have in a fast test and writes down what a server says in them.
func TestRecordAnswers(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	b := newBench(t, 4)
	ctl := b.connect(t, 0, "ctl")
	for _, table := range core.Tables() {
		b.bucket(t, ctl, table.Bucket(), 3)
	}
	write := func(name, subject string, is func([]byte) bool) {
		conn := Conn{b.connect(t, 0, "sys")}
		eventually(t, name, func() (ok bool) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_ = conn.RequestMany(ctx, subject, []byte(`{"account":"CONTROL","streams":true,"config":true}`), func(raw []byte) bool {
				var v any
				if ok = is(raw) && json.Unmarshal(raw, &v) == nil; ok {
					raw, _ = json.MarshalIndent(v, "", " ")
					ok = os.WriteFile(filepath.Join("testdata", name), append(raw, '\n'), 0o644) == nil
				}
				return !ok
			})
			return ok
		})
	}
	write("statsz.json", subjectStats, func(raw []byte) bool { a, err := decodeStats(raw); return err == nil && a.Stats.JetStream != nil })
	b.stop(3)
	for i := range 3 {
		b.stop(i)
	}
	for i := range 3 {
		b.start(t, i)
	}
	write("jsz-ghost.json", subjectStreams, func(raw []byte) bool {
		a, err := decodeStreams(raw)
		return err == nil && a.Data.Meta != nil && a.Data.Meta.Leader == a.Server.Name
	})
	b.stop(1)
	b.stop(2)
	write("jsz-leaderless.json", subjectStreams, func(raw []byte) bool {
		a, err := decodeStreams(raw)
		if err != nil || a.Data.Meta == nil || a.Data.Meta.Leader != "" || len(a.Data.Accounts) == 0 {
			return false
		}
		for _, s := range a.Data.Accounts[0].Streams {
			if s.Group.Leader != "" {
				return false
			}
		}
		return true
	})
}
