package audit

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/logtest"
)

// TestLogCarriesEachRecord: with Records the log has each record with all its fields, so
// that a log elsewhere is a second copy; without, it has none.
func TestLogCarriesEachRecord(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	for name, wanted := range map[string]bool{"wanted": true, "not wanted": false} {
		logged, nc := &logtest.Buffer{}, connect(t, single(t))
		l := New(Config{
			Conn: nc, Replicas: 1, Node: "n1", File: path(t), Records: wanted, Key: key.known, Now: func() core.Millis { return 7 },
			Logger: slog.New(slog.NewJSONHandler(logged, nil)),
		})
		if err := l.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := begin(t, l, "one")
		wait(t, func() bool { return len(streamRecords(t, nc)) == 2 }) // with the checkpoint
		l.End(t.Context(), a, errors.New("broke"))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		for text := range strings.Lines(logged.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err)
			}
			if m["msg"] == "audit" && m["level"] == "INFO" {
				got = append(got, m)
			}
		}
		records := streamRecords(t, nc)
		if !wanted {
			records = nil
		}
		if len(got) != len(records) {
			t.Fatalf("%s: %d of %d records are in the log:\n%s", name, len(got), len(records), logged)
		}
		for i, text := range records {
			var want map[string]any
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			for field, value := range want {
				if field != "v" && field != "node" && got[i][field] != value {
					t.Errorf("record %d, %s: %v, not %v", i+1, field, got[i][field], value)
				}
			}
			if got[i]["seq"] != float64(i+1) {
				t.Errorf("record %d: %v", i+1, got[i])
			}
		}
	}
}
