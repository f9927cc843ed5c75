package main

import (
	"strings"
	"syscall"
	"testing"

	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestRestartedNodeBesideHungOnes: a node that was restarted while both others hang has never
// heard them in this run. It says that they hang and are to be restarted, and claims no
// sessions: it has admitted nobody since its start.
func TestRestartedNodeBesideHungOnes(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	awaitStatusOf(t, p.Client(0), func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	for _, i := range []int{0, 2} {
		p.Signal(i, syscall.SIGSTOP)
		t.Cleanup(func() { p.Signal(i, syscall.SIGCONT) })
	}
	p.Kill(1)
	p.Start(1)
	awaitStatusOf(t, p.Client(1), func(st admin.Status) bool {
		return strings.Contains(st.Sentence, "n1 and n3 do not answer: their processes hang") && strings.HasPrefix(st.Do, "restart unibusd on n1 or n3") &&
			!strings.Contains(st.Sentence, "go on")
	})
}
