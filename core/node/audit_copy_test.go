package node_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestAuditOutlivesTheCluster: after all buckets and the audit's stream were deleted,
// each node still has the whole record in a file of its own.
func TestAuditOutlivesTheCluster(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	var want []string
	for i := range c.Nodes {
		cl := ready(t, c, i)
		id := nodetest.Identity(t).Public()
		if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(id)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	holds := func(text string) error {
		for _, cfg := range c.Configs {
			data, err := os.ReadFile(cfg.Data + "/audit.jsonl")
			if err != nil {
				return err
			}
			for _, id := range want {
				if strings.Count(string(data), "id="+id) != 1 {
					return fmt.Errorf("%s: the copy of %s does not have the action about %s once", text, cfg.Name, id)
				}
			}
			if info, err := os.Stat(cfg.Data + "/audit.jsonl"); err != nil || info.Mode().Perm() != 0o600 {
				return fmt.Errorf("%v, %v", info, err)
			}
		}
		return nil
	}
	nodetest.Wait(t, nodetest.Convergence, func() error { return holds("before") })
	nodetest.Wait(t, nodetest.Convergence, func() error { // a viewer reads all and checks it
		r, err := verifyStream(t, c.Client(1, c.Viewer))
		if err == nil && (len(r.Faults) > 0 || r.Checkpoints == 0 || r.Records < 2*len(want) || r.Unchained > 0) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	purge(t, c.Nodes[1].SystemConn(), "$JS.API.ACCOUNT.PURGE.CONTROL")
	if err := holds("after the deletion"); err != nil {
		t.Error(err)
	}
	for i := range c.Nodes {
		if err := c.Nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Open(i); err != nil {
			t.Fatal(err)
		}
	}
	nodetest.Wait(t, 30*time.Second, func() error { // the stream is created anew, and followed
		for _, cfg := range c.Configs {
			if data, err := os.ReadFile(cfg.Data + "/audit.jsonl"); err != nil || !strings.Contains(string(data), "was deleted and created anew") {
				return fmt.Errorf("%s does not tell of the deletion: %v", cfg.Name, err)
			}
		}
		return nil
	})
	if err := holds("after a restart"); err != nil {
		t.Error(err)
	}
	for _, cfg := range c.Configs {
		v := audit.NewVerifier(audit.VerifyConfig{Key: c.Client(0, c.Viewer).ClusterKey(), Signed: keys.SignedByCluster})
		if err := v.VerifyFile(cfg.Data + "/audit.jsonl"); err != nil {
			t.Fatal(err)
		}
		if r := v.Report(); len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Reason, "deleted and created anew") || r.Checkpoints == 0 {
			t.Errorf("%s: %+v", cfg.Name, r)
		}
	}
}

func verifyStream(t *testing.T, cl *admin.Client) (audit.Report, error) {
	t.Helper()
	v := audit.NewVerifier(audit.VerifyConfig{Key: cl.ClusterKey(), Signed: keys.SignedByCluster})
	for from := uint64(1); from > 0; {
		page, err := cl.AuditRaw(t.Context(), from)
		if err != nil {
			return audit.Report{}, err
		}
		v.Page(page)
		from = page.Next
	}
	return v.Report(), nil
}
