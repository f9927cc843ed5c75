package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestDoctorConnectsOnce: a second connection would ask for the passphrase of a protected seed file again.
func TestDoctorConnectsOnce(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv"})
	awaitStatusOf(t, p.Client(0), func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	relay := startHungNode(t, strings.TrimPrefix(p.URLs(0)[0], "nats://"), 1<<30) // it never hangs
	cmd := exec.Command(program(t, "unibusd"), "doctor", "--server", "nats://"+relay.address, "--identity", p.AdminSeedFile)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "in one chain") {
		t.Errorf("the audit was not checked: %v\n%s", err, out)
	}
	if n := relay.connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
