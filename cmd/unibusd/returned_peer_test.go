package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestReturnedPeerIsRemovedAgain: the meta group counts a node that was removed. Servers
// forget a removal after minutes; here the nodes are told of one that the servers never made.
// The leader removes the peer, and says so once.
func TestReturnedPeerIsRemovedAgain(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	cl.Close()
	list, err := json.Marshal([]core.NodeChange{{Name: "n3", State: core.NodeRemoved, By: "ana", At: core.MillisOf(time.Now())}})
	if err != nil {
		t.Fatal(err)
	}
	p.Stop(2)
	for i := range 2 {
		p.Stop(i)
		if err := os.WriteFile(filepath.Join(p.Configs[i].Data, "nodes.json"), list, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.Start(0)
	p.Start(1)
	cl = p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		return st.Meta.Leader != "" && st.Meta.Size == 2 && len(st.Meta.OrphanPeers) == 0 && st.Expected == 2
	})
	if logs := p.Log(0) + p.Log(1); strings.Count(logs, "a removed node counted in the meta group again, and was removed") != 1 {
		t.Errorf("the removal is not told once:\n%s", logs)
	}
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())}); err != nil {
		t.Error(err)
	}
}
