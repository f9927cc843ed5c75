package main

import (
	"slices"
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

// TestHungNodeIsNotReplaced: a process that hangs has its replicas, and comes back. Neither
// `node remove` nor `node replace` treats it as lost, and nothing was added for it.
func TestHungNodeIsNotReplaced(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	p.Signal(1, syscall.SIGSTOP)
	t.Cleanup(func() { p.Signal(1, syscall.SIGCONT) })
	awaitStatusOf(t, cl, func(st admin.Status) bool { return strings.Contains(st.Sentence, "its process hangs") })
	for _, args := range [][]string{{"node", "replace", "n2", "n4"}, {"node", "remove", "n2"}} {
		out, code := runCommand(p, args)
		if code == 0 || !strings.Contains(out, "n2 cannot be removed: its process hangs") || !strings.Contains(out, "restart unibusd on n2") {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
	st, err := cl.Status(t.Context())
	if err != nil || len(st.Added) > 0 || st.Meta.Size != 3 {
		t.Errorf("after the refusals: %v, %+v, %v", st.Added, st.Meta, err)
	}
}

// TestHungNodeOfNoRouteIsNotRemoved: the address of a node that joined later is in nobody's
// routes. The others try the one that it had by its own word, and find that it hangs.
func TestHungNodeOfNoRouteIsNotRemoved(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	if out, code := runCommand(p, []string{"node", "add", "n4"}); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	i := p.Join("n4")
	for of := range 3 {
		awaitStatusOf(t, p.Client(of), func(st admin.Status) bool {
			n := slices.IndexFunc(st.Nodes, func(n cluster.Node) bool { return n.Name == "n4" })
			return st.Verdict == cluster.Healthy && st.Meta.Size == 4 && n >= 0 && st.Nodes[n].Info != nil && st.Nodes[n].Info.RouteListen != ""
		})
	}
	p.Signal(i, syscall.SIGSTOP)
	hangs := true
	t.Cleanup(func() {
		if hangs {
			p.Signal(i, syscall.SIGCONT)
		}
	})
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Online == 3 })
	for _, args := range [][]string{{"node", "remove", "n4"}, {"node", "replace", "n4", "n5"}} {
		out, code := runCommand(p, args)
		if code == 0 || !strings.Contains(out, "n4 cannot be removed: its process hangs") || !strings.Contains(out, "restart unibusd on n4") {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
	st, err := cl.Status(t.Context())
	if err != nil || st.Meta.Size != 4 || len(st.Removed) > 0 {
		t.Errorf("after the refusals: %+v, removed %v, %v", st.Meta, st.Removed, err)
	}
	p.Kill(i)
	hangs = false
	awaitStatusOf(t, cl, func(st admin.Status) bool { return strings.Contains(st.Sentence, "unibusd does not run there") })
	if out, code := runCommand(p, []string{"node", "remove", "n4"}); code != 0 {
		t.Errorf("once it is stopped: exit %d: %s", code, out)
	}
}
