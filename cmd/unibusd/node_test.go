package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/doctor"
	"unibus/core/logtest"
	"unibus/core/nodetest"
)

// TestLostNodeIsReplacedByCommand: a node is killed and never comes back. `node replace`
// waits for the new one and says so. It is interrupted twice, while it waits and while the
// replicas move, and the same command completes it. When it returns, the new node holds
// what the others hold.
func TestLostNodeIsReplacedByCommand(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	flags := []string{"--server", strings.Join(p.URLs(0, 1), ","), "--identity", p.AdminSeedFile}
	replace := append([]string{"node", "replace", "n3", "n4"}, flags...)

	if out, err := exec.Command(program(t, "unibusd"), replace...).CombinedOutput(); err == nil || !strings.Contains(string(out), "n3 cannot be removed: it is running") {
		t.Fatalf("replacing a node that runs: %v: %s", err, out)
	}
	addUsers(t, cl, 60)
	p.Kill(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.IsSilent("n3") })

	startCommand(t, replace...).interruptAfter(t, "n4 has never answered")
	p.Join("n4")
	startCommand(t, replace...).interruptAfter(t, "n4 takes the replicas of n3")
	last := startCommand(t, append(replace, "--json")...)
	if err := last.cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, last.out)
	}
	checkReplaced(t, cl)
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		return st.Verdict == cluster.Healthy && st.Expected == 3 && len(st.Nodes) == 3
	})

	var list nodeList
	out, err := exec.Command(program(t, "unibusd"), append([]string{"node", "list", "--json"}, flags...)...).Output()
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil || len(list.Nodes) != 3 || list.Nodes[2].Name != "n4" || len(list.Removed) != 1 || list.Removed[0].Name != "n3" || list.Meta.Size != 3 {
		t.Errorf("%v: %s", err, out)
	}
	p.Start(2) // the lost machine comes back: it learns of its removal and ends
	nodetest.Wait(t, 30*time.Second, func() error {
		if log := p.Log(2); !strings.Contains(log, "n3 was removed from the cluster by ana") {
			return fmt.Errorf("n3 wrote: %s", log)
		}
		return nil
	})
}

// addUsers gives a replica something to copy.
func addUsers(t *testing.T, cl *admin.Client, count int) {
	t.Helper()
	var all sync.WaitGroup
	for range count {
		id := core.UserID(nodetest.Identity(t).Public())
		all.Go(func() {
			if _, err := cl.UserAdd(t.Context(), core.User{ID: id}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// checkReplaced fails unless every replica is current and holds the same rows now.
func checkReplaced(t *testing.T, cl *admin.Client) {
	t.Helper()
	st, err := cl.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range st.AllBuckets() {
		for _, r := range b.Replicas {
			if len(b.Replicas) != 3 || r.Node == "n3" || r.State != cluster.ReplicaCurrent {
				t.Errorf("when the command returned, %s on %s was %s, behind by %d, of %d replicas", b.Name, r.Node, r.State, r.Lag, len(b.Replicas))
			}
		}
	}
	if report, err := cl.Doctor(t.Context(), admin.DoctorRequest{ReplicasOnly: true}); err != nil || report.Worst() != doctor.OK {
		t.Errorf("%v: %+v", err, report)
	}
}

func awaitStatusOf(t *testing.T, cl *admin.Client, wanted func(admin.Status) bool) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err == nil && !wanted(st) {
			err = fmt.Errorf("%s: %s %+v", st.Verdict, st.Sentence, st.Nodes)
		}
		return err
	})
}

// runningCommand is a command whose output can be waited for.
type runningCommand struct {
	cmd *exec.Cmd
	out *logtest.Buffer
}

func startCommand(t *testing.T, args ...string) runningCommand {
	t.Helper()
	r := runningCommand{cmd: exec.Command(program(t, "unibusd"), args...), out: &logtest.Buffer{}}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// interruptAfter ends the command with SIGTERM once it has said something.
func (r runningCommand) interruptAfter(t *testing.T, text string) {
	t.Helper()
	r.await(t, text)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err == nil {
		t.Fatalf("the interrupted command ended well: %s", r.out)
	}
}

func (r runningCommand) await(t *testing.T, text string) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		if !strings.Contains(r.out.String(), text) {
			return fmt.Errorf("the command wrote: %s", r.out)
		}
		return nil
	})
}
