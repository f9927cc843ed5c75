package node

import (
	"slices"
	"testing"

	"unibus/core/cluster"
)

// TestDataIDs: a node that comes back with another id began anew, also for a node that was
// restarted meanwhile. Two processes of one name that take turns are told once, and an older
// node, which gives no id, never. While an earlier id is back, its directory is not empty.
func TestDataIDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, step := range []struct {
		id      string
		renewed bool
	}{{"", false}, {"a", false}, {"a", false}, {"", false}, {"b", true}, {"a", false}, {"b", false}, {"c", true}} {
		d := &dataIDs{} // as after a restart
		if err := d.load(dir); err != nil {
			t.Fatal(err)
		}
		got, err := d.learn([]cluster.Info{{Name: "n1", DataID: "x"}, {Name: "n2", DataID: step.id}}, 7)
		if err != nil || slices.Contains(got, "n2") != step.renewed || slices.Contains(got, "n1") {
			t.Errorf("step %d, id %q: %v, %v", i, step.id, got, err)
		}
		if at := d.renewed()["n2"]; (at == 7) != (i >= 4 && step.id != "a") {
			t.Errorf("step %d: renewed at %v", i, at)
		}
	}
}
