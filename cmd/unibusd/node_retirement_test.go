package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestDrainedNodeIsRemovedWhileItRuns: a node that runs is removed once it is drained. It is
// asked to stop, ends by itself and says why, and does not start again. A drained one that
// hangs cannot confirm that, and stays.
func TestDrainedNodeIsRemovedWhileItRuns(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	if _, err := cl.NodeAdd(t.Context(), "n4"); err != nil {
		t.Fatal(err)
	}
	p.Join("n4") // a spare node for the replicas of n3
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy && st.Meta.Size == 4 })
	remove := func(server int) (string, error) {
		out, err := exec.Command(program(t, "unibusd"), "node", "remove", "n3", "--server", strings.Join(p.URLs(server), ","), "--identity", p.AdminSeedFile).CombinedOutput()
		return string(out), err
	}
	if out, err := remove(0); err == nil || !strings.Contains(out, "n3 cannot be removed: it is running") || !strings.Contains(out, "unibusd node drain n3") {
		t.Errorf("removing a node that runs: %v: %s", err, out)
	}
	nodetest.Wait(t, time.Minute, func() error {
		out, err := cl.NodeDrain(t.Context(), "n3", time.Hour)
		if err == nil && out.Pending != "" {
			err = fmt.Errorf("%s", out.Pending)
		}
		return err
	})

	p.Signal(2, syscall.SIGSTOP)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.IsSilent("n3") })
	if _, err := cl.NodeRemove(t.Context(), "n3"); core.KindOf(err) != core.KindRefused && core.KindOf(err) != core.KindUnavailable {
		t.Errorf("removing a node that hangs: %v", err)
	}
	p.Signal(2, syscall.SIGCONT)
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		return !st.IsSilent("n3") && st.Meta.Size == 4 && st.Verdict == cluster.Healthy
	})

	nodetest.Wait(t, time.Minute, func() error {
		out, err := remove(0)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		return st.Meta.Size == 3 && st.Expected == 3 && st.Verdict == cluster.Healthy
	})
	const why = "n3 was removed from the cluster by ana"
	nodetest.Wait(t, 30*time.Second, func() error {
		if log := p.Log(2); !strings.Contains(log, "this node was drained, and stops to be removed") || !strings.Contains(log, "unibusd: "+why) {
			return fmt.Errorf("n3 wrote: %s", log)
		}
		return nil
	})
	p.Start(2) // as a service manager would
	nodetest.Wait(t, 30*time.Second, func() error {
		if log := p.Log(2); strings.Count(log, "unibusd: "+why) != 2 {
			return fmt.Errorf("n3 wrote: %s", log)
		}
		return nil
	})
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Size == 3 && st.Verdict == cluster.Healthy })
}
