package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

var previousRelease = flag.String("previous", "", "the unibusd of the release before; `make compat` builds it")

// TestPreviousRelease: the real binary of the release before works beside this one through an
// upgrade of node after node, while users are added. This release refuses verbs that the
// earlier one could not read, while the earlier one runs. After one node went back, it denies
// what it cannot read, and nothing of it is lost.
func TestPreviousRelease(t *testing.T) {
	if *previousRelease == "" {
		t.Skip("no release before is given: make compat")
	}
	p := nodetest.StartProcesses(t, *previousRelease, nodetest.Config{Store: core.BackendKV, Listed: true})
	for i := range p.Configs {
		waitServing(t, p, i, core.BackendKV)
	}
	r := upgrade{t: t, p: p}
	r.addAtEachNode()
	if _, err := p.Client(0).RoomPage(t.Context(), core.RoomPageRequest{}); err == nil || !strings.Contains(err.Error(), "no node knows the request room-page") || !strings.Contains(err.Error(), "n1 (") {
		t.Errorf("a request that no older node knows: %v", err)
	}
	for i := range p.Configs {
		r.run(i, program(t, "unibusd"))
		r.addAtEachNode()
		for j := range p.Configs {
			if _, err := p.Client(j).RoomPage(t.Context(), core.RoomPageRequest{}); err != nil {
				t.Errorf("pages of rooms asked of %s, while n1 to n%d know them: %v", p.Configs[j].Name, i+1, err)
			}
		}
		if i == len(p.Configs)-1 {
			break
		}
		if _, err := r.addWithEnd(0); err == nil || !strings.Contains(err.Error(), "runs an older release") || !strings.Contains(err.Error(), "upgrade n") {
			t.Fatalf("a user with an end beside older nodes: %v", err)
		}
	}
	var ending keys.Identity
	nodetest.Wait(t, nodetest.Convergence, func() (err error) { // until n2 has heard the last one
		ending, err = r.addWithEnd(1)
		return err
	})
	second, err := r.addWithEnd(1)
	if err != nil {
		t.Fatal(err)
	}
	r.run(2, *previousRelease) // back, although a row is there that it does not know
	r.addAtEachNode()
	if nc, err := p.Connect(2, ending); err == nil {
		nc.Close()
		t.Error("the older node admits a user whose end it does not know")
	}
	if u, err := p.Client(0).UserRevoke(t.Context(), second.Public()); err != nil || u.Status != core.UserRevoked {
		t.Errorf("revoking a user beside the older node: %+v, %v", u, err)
	}
	r.run(2, program(t, "unibusd"))
	r.addAtEachNode()
	if u, err := p.Client(2).UserGet(t.Context(), ending.Public()); err != nil || u.Expires == 0 {
		t.Errorf("after the older node was there: %+v, %v", u, err)
	}
	nodetest.Wait(t, bootBudget, func() error { return admits(p, 2, ending) })
}

// upgrade is a cluster whose nodes change their release.
type upgrade struct {
	t     *testing.T
	p     *nodetest.Processes
	users []keys.Identity
}

// run has node i run another binary, and waits until every replica is current.
func (r *upgrade) run(i int, binary string) {
	r.t.Helper()
	r.p.Stop(i)
	r.p.SetBinary(binary)
	r.p.Start(i)
	waitServing(r.t, r.p, i, core.BackendKV)
	all := r.p.Client()
	nodetest.Wait(r.t, bootBudget, func() error { return replicated(r.t, all, 3) })
}

// addAtEachNode adds a user through each node by this release's command, and has every user
// of before admitted by every node.
func (r *upgrade) addAtEachNode() {
	r.t.Helper()
	for i := range r.p.Configs {
		id := nodetest.Identity(r.t)
		if _, err := r.add(i, id); err != nil {
			r.t.Fatal(err)
		}
		r.users = append(r.users, id)
	}
	for _, id := range r.users {
		for i := range r.p.Configs {
			nodetest.Wait(r.t, 10*time.Second, func() error { return admits(r.p, i, id) })
		}
	}
}

func (r *upgrade) addWithEnd(i int) (keys.Identity, error) {
	id := nodetest.Identity(r.t)
	_, err := r.add(i, id, "--expires", "30d")
	return id, err
}

// add runs the command at a node; its error is what it printed.
func (r *upgrade) add(i int, id keys.Identity, more ...string) (core.User, error) {
	r.t.Helper()
	args := append([]string{"user", "add", id.Public(), "--json", "--server", r.p.URLs(i)[0], "--identity", r.p.AdminSeedFile}, more...)
	cmd := exec.CommandContext(r.t.Context(), program(r.t, "unibusd"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return core.User{}, fmt.Errorf("%w: %s", err, out)
	}
	var u core.User
	return u, json.Unmarshal(out, &u)
}

// admits is nil where node i lets a user in.
func admits(p *nodetest.Processes, i int, id keys.Identity) error {
	nc, err := p.Connect(i, id)
	if err == nil {
		nc.Close()
	}
	return err
}
