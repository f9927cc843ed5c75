package plain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/tui/plain"
	"unibus/tui/tuitest"
)

var update = flag.Bool("update", false, "write the goldens anew")

func TestText(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]tuitest.ClusterState{
		"healthy": tuitest.Healthy(), "sqlite": tuitest.OnSQLite(), "no-quorum": tuitest.NoQuorum(), "full-disk": tuitest.FullDisk(),
		"copy": tuitest.Copying(), "node-down": tuitest.MigrationNodeDown(), "interrupted": tuitest.Interrupted(), "rollback": tuitest.RollingBack(), "rolledback": tuitest.RolledBack(),
	} {
		var b bytes.Buffer
		if err := plain.Text(&b, state.Status, state.Migration); err != nil {
			t.Fatal(err)
		}
		assertGolden(t, "testdata/"+name+".txt", b.Bytes())
		if strings.ContainsRune(b.String(), '\x1b') {
			t.Errorf("%s: an escape sequence in plain text", name)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := plain.JSON(&b, tuitest.Degraded().Status, tuitest.RollingBack().Migration); err != nil {
		t.Fatal(err)
	}
	assertGolden(t, "testdata/degraded.json", b.Bytes())
}

// TestJSONOfEmptyStatus: the fields that scripts rely on are present in an empty
// status.
func TestJSONOfEmptyStatus(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := plain.JSON(&b, admin.Status{}, migrate.Status{}); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"nodes", "buckets", "findings"} {
		if _, ok := doc[k].([]any); !ok {
			t.Errorf("%s is %v, want a list", k, doc[k])
		}
	}
	meta, ok := doc["meta"].(map[string]any)
	if !ok {
		t.Fatalf("meta is %v", doc["meta"])
	}
	for _, k := range []string{"leader", "size", "online", "needed"} {
		if _, ok := meta[k]; !ok {
			t.Errorf("meta has no %s", k)
		}
	}
	if a, ok := doc["authority"].(map[string]any); !ok || a["backend"] != "none" {
		t.Errorf("authority is %v, want the backend none", doc["authority"])
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWriteErrorsAreReturned(t *testing.T) {
	t.Parallel()
	if plain.Text(brokenWriter{}, tuitest.Healthy().Status, migrate.Status{}) == nil || plain.JSON(brokenWriter{}, tuitest.Healthy().Status, migrate.Status{}) == nil {
		t.Error("a broken pipe is no error")
	}
}

func assertGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./tui/plain -update writes it)", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs (-golden +now):\n%s", file, d)
	}
}
