package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/config"
)

// listTest is a node that has only its replicated lists.
func listTest(t *testing.T) *Node {
	t.Helper()
	return New(Config{Node: config.Node{Name: "n1", Data: t.TempDir()}})
}

func wantRefusal(t *testing.T, what string, err error, kind core.Kind, text string) {
	t.Helper()
	if core.KindOf(err) != kind || !strings.Contains(err.Error(), text) || core.AsError(err).Next == "" {
		t.Errorf("%s: %v", what, err)
	}
}

// TestRecordThatIsNotTaken: a list that is full and a decision of another node that
// counts are told apart, and change nothing.
func TestRecordThatIsNotTaken(t *testing.T) {
	t.Parallel()
	n := listTest(t)
	removed := core.NodeChange{Name: "n9", State: core.NodeRemoved, By: "ben", At: 1}
	if _, err := n.membership.add([]core.NodeChange{removed}); err != nil {
		t.Fatal(err)
	}
	if err := n.membership.put(removed); err != nil {
		t.Errorf("the same again: %v", err)
	}
	added := core.NodeChange{Name: "n9", State: core.NodeAdded, By: "ana", At: 2}
	wantRefusal(t, "adding a removed node", n.membership.put(added), core.KindConflict, "n9 was removed by ben at the same time")

	ended := core.Maintenance{Node: "n9", By: "ben", At: 5, Ended: true}
	if _, err := n.maintenance.add([]core.Maintenance{ended}); err != nil {
		t.Fatal(err)
	}
	m := nodeMembership{n}
	_, err := m.putMaintenance(t.Context(), core.Maintenance{Node: "n9", By: "ana", At: 5})
	wantRefusal(t, "a maintenance that another one supersedes", err, core.KindConflict, "changed by another request")

	for i := range maxNodeRecords {
		name := fmt.Sprint("x", i)
		if _, err := n.membership.add([]core.NodeChange{{Name: name, State: core.NodeAdded}}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.maintenance.add([]core.Maintenance{{Node: name, At: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	full := n.membership.put(core.NodeChange{Name: "n8", State: core.NodeAdded, By: "ana", At: 2})
	wantRefusal(t, "a full list of nodes", full, core.KindRefused, "a cluster remembers 200 nodes")
	_, err = m.putMaintenance(t.Context(), core.Maintenance{Node: "n8", By: "ana", At: 2})
	wantRefusal(t, "a full list of maintenance", err, core.KindRefused, "200 nodes were in maintenance")
	if _, ok := n.membership.of("n8"); ok || len(n.maintenance.all()) != maxNodeRecords {
		t.Error("a full list took one more")
	}
}

// TestEveryNodeCanBeRemoved: nodes are added only as long as the list has room for the removal
// of each one that the cluster has.
func TestEveryNodeCanBeRemoved(t *testing.T) {
	t.Parallel()
	n, configured := listTest(t), []string{"n1", "n2", "n3"}
	added, fault := 0, error(nil)
	for ; fault == nil && added <= maxNodeRecords; added++ {
		name := fmt.Sprint("x", added)
		if fault = n.membership.checkSpaceToAdd(name, configured); fault == nil {
			fault = n.membership.put(core.NodeChange{Name: name, State: core.NodeAdded, By: "ana", At: 1})
		}
	}
	wantRefusal(t, "one node too many", fault, core.KindRefused, "a cluster remembers 200 nodes")
	for _, name := range append(configured, "x0", fmt.Sprint("x", added-2)) {
		if err := n.membership.put(core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana", At: 2}); err != nil {
			t.Errorf("%s cannot be removed: %v", name, err)
		}
	}
}

// TestDeletedListIsWrittenAgain: a list whose file was deleted under the node is on disk
// again, so that a restart knows the nodes that were removed.
func TestDeletedListIsWrittenAgain(t *testing.T) {
	t.Parallel()
	n := listTest(t)
	if n.restoreLists(); exists(n.membership.path) {
		t.Error("an empty list was written")
	}
	removed := core.NodeChange{Name: "n9", State: core.NodeRemoved, By: "ben", At: 1}
	if err := n.membership.put(removed); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(n.membership.path); err != nil {
		t.Fatal(err)
	}
	n.restoreLists()
	again := New(Config{Node: config.Node{Name: "n1", Data: filepath.Dir(n.membership.path)}})
	if err := again.membership.load(); err != nil {
		t.Fatal(err)
	}
	if c, ok := again.membership.of("n9"); !ok || c != removed {
		t.Errorf("after a restart: %+v %v", c, ok)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
