package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestOldAddressIsNamed: a node gets another address by its configuration and a restart. The
// others find it, say which address of theirs is old, and log its errors no more.
func TestOldAddressIsNamed(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	p.Stop(2)
	cfg := &p.Configs[2]
	old, now := cfg.ClusterListen, fmt.Sprintf("127.0.0.1:%d", nodetest.Ports(t, 1)[0])
	cfg.ClusterListen, cfg.Routes = now, []string{p.Configs[0].ClusterListen, p.Configs[1].ClusterListen, now}
	nodetest.WriteConfig(t, cfg.Data+".toml", *cfg, "")
	p.Start(2)
	nodetest.Wait(t, 2*time.Minute, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		named := slices.ContainsFunc(st.Findings, func(f cluster.Finding) bool {
			return strings.Contains(f.Text, "n1 and n2 have the old address "+old) && strings.Contains(f.Text, "n3 is at "+now) && strings.Contains(f.Next, "put "+now+" in the place of "+old)
		})
		if !named || st.Verdict != cluster.Healthy {
			return fmt.Errorf("%s: %v", st.Verdict, st.Findings)
		}
		for i := range 2 {
			if log := p.Log(i); !strings.Contains(log, "an address of --routes leads to no node any more") {
				return fmt.Errorf("n%d wrote: %s", i+1, log)
			}
		}
		return nil
	})
}
