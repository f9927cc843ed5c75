package main

import (
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestUserAddDuringAnElection: the leader of the audit and of the users is killed, and a user
// is added at once. Two of three nodes are up: the command waits for the new leaders.
func TestUserAddDuringAnElection(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	awaitStatusOf(t, p.Client(0), func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	for _, group := range []string{"audit", core.TableUsers.Bucket()} {
		leadsAt := func(st admin.Status) bool {
			for _, b := range st.AllBuckets() {
				if b.Name == group || b.Name == "UNIBUS_"+group {
					return b.Leader == "n3"
				}
			}
			return false
		}
		if out, code := runCommand(p, []string{"step-down", group, "--to", "n3"}); code != 0 {
			t.Logf("step-down %s ended with %d: %s", group, code, out)
		}
		awaitStatusOf(t, p.Client(0), leadsAt)
	}
	p.Kill(2)
	began := time.Now()
	out, code := runCommand(p, []string{"user", "add", nodetest.Identity(t).Public()})
	t.Logf("it took %s", time.Since(began))
	if code != 0 {
		t.Errorf("it ended with %d: %s", code, out)
	}
}
