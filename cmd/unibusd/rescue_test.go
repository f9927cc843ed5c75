package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/guide"
	"unibus/core/nodetest"
)

// rescuer plays the guide of a rescue. It types what the guide wants typed.
type rescuer struct {
	operator
	fresh  []string // names of the machines that it has in spare
	refill func()   // what is done before the first of them is started
	cut    bool     // the node that lowers the quorum dies while it does
	log    []string
}

// follow does what the guide says until it is done, or the step until is open.
func (r *rescuer) follow(until string) guide.Report {
	r.t.Helper()
	end := time.Now().Add(4 * time.Minute)
	for {
		var report guide.Report
		code := r.run(&report, "guide", "rescue")
		s := open(report)
		switch {
		case code == 0 || until != "" && s.Title == until: // no node may answer for a moment: then there is no step
			return report
		case code != exitNextStep && code != 4 || time.Now().After(end):
			r.t.Fatalf("exit %d: %s: %+v; done: %q", code, report.Text, s, r.log)
		case s.State == guide.Next:
			r.do(s)
		}
	}
}

func (r *rescuer) do(s guide.Step) {
	r.t.Helper()
	r.log = append(r.log, s.Title)
	switch {
	case strings.HasPrefix(s.Title, "Fence "):
		name, _, _ := strings.Cut(strings.TrimPrefix(s.Title, "Fence "), " ")
		r.command(strings.Replace(s.Type[0], "NAME", name, 1))
	case strings.HasPrefix(s.Title, "Lower "):
		_, number, _ := strings.Cut(s.Do, "type ")
		number, _, _ = strings.Cut(number, " in place of N")
		line := strings.Replace(s.Type[0], "--quorum N", "--quorum "+number, 1)
		if r.cut {
			r.cutShort(line)
			return
		}
		r.command(line)
	case strings.HasPrefix(s.Title, "Remove "):
		r.command(s.Type[0])
	case strings.HasPrefix(s.Title, "Connect a new node"):
		r.connect()
	case strings.HasPrefix(s.Title, "Every bucket has its replicas") && r.refill != nil:
		r.refill()
		r.refill = nil
	case strings.HasPrefix(s.Title, "Every bucket has its replicas") && len(r.fresh) > 0:
		r.command(strings.Replace(s.Type[1], "NAME", r.fresh[0], 1))
		r.Join(r.fresh[0])
		r.fresh = r.fresh[1:]
	}
}

// cutShort kills the asked node as soon as the quorum is lowered, and starts it again.
func (r *rescuer) cutShort(line string) {
	r.t.Helper()
	r.cut = false
	startCommand(r.t, strings.Fields(line)[1:]...)
	nodetest.Wait(r.t, 60*time.Second, func() error {
		if !strings.Contains(r.Log(0), "a lower quorum was asked for") {
			return fmt.Errorf("the quorum was not lowered yet")
		}
		return nil
	})
	r.Kill(0)
	r.Start(0)
}

// connect starts a new node, and the one that is left with a configuration that names it.
func (r *rescuer) connect() {
	r.t.Helper()
	i := r.Join(r.fresh[0])
	n := r.Configs[0]
	n.Nodes, n.Routes = append(slices.Clone(n.Nodes), r.fresh[0]), append(slices.Clone(n.Routes), r.Configs[i].ClusterListen)
	r.Configs[0], r.fresh = n, r.fresh[1:]
	nodetest.WriteConfig(r.t, n.Data+".toml", n, "")
	r.Stop(0)
	r.Start(0)
	awaitStatusOf(r.t, r.Client(0), func(st admin.Status) bool { return !st.Meta.NoRoute })
}

// command runs a line of the guide, which has the connection's flags. It may have to be
// repeated: the guide says it again.
func (r *rescuer) command(line string) {
	r.t.Helper()
	words := strings.Fields(line)
	begun := time.Now()
	out, err := exec.Command(program(r.t, words[0]), words[1:]...).CombinedOutput()
	r.t.Logf("%s (%s): %v\n%s", strings.Join(words[:4], " "), time.Since(begun).Round(time.Millisecond), err, out)
}

// fails runs a command that must be refused, and change nothing.
func (r *rescuer) fails(want string, args ...string) {
	r.t.Helper()
	out, code := runCommand(r.Processes, args)
	if e := errorOf(out); code == 0 || !strings.Contains(e.Text, want) || e.Next == "" {
		r.t.Errorf("%q ended with %d: %s; want %q", args, code, out, want)
	}
}

// awaitRefusal is fails, for a reason that is seen within seconds.
func (r *rescuer) awaitRefusal(want string, args ...string) {
	r.t.Helper()
	nodetest.Wait(r.t, 60*time.Second, func() error {
		out, code := runCommand(r.Processes, args)
		if code == 0 {
			r.t.Fatalf("%q: %s", args, out)
		}
		if !strings.Contains(errorOf(out).Text, want) {
			return fmt.Errorf("%q ended with %d: %s", args, code, out)
		}
		return nil
	})
}

// lose kills nodes and wipes their disks.
func (r *rescuer) lose(nodes ...int) {
	r.t.Helper()
	for _, i := range nodes {
		r.Kill(i)
		if err := os.RemoveAll(r.Configs[i].Data); err != nil {
			r.t.Fatal(err)
		}
	}
}

func newRescuer(t *testing.T, nodes int, cfg nodetest.Config) (*rescuer, *admin.Client) {
	t.Helper()
	cfg.Store, cfg.Listed, cfg.Nodes = "kv", true, nodes
	p := nodetest.StartProcesses(t, program(t, "unibusd"), cfg)
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	return &rescuer{operator: operator{Processes: p, t: t, flags: []string{"--server", p.URLs(0)[0], "--identity", p.AdminSeedFile}}}, cl
}

// TestRescueGuideIsPlayed: two of three machines burn. An operator follows the guide until it
// is done, with two new machines. Every user that was acknowledged to all three is there.
func TestRescueGuideIsPlayed(t *testing.T) {
	t.Parallel()
	r, cl := newRescuer(t, 3, nodetest.Config{})
	var users []core.User
	for range 20 {
		u, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	r.fails("it is running", "node", "fence", "n2")
	r.fails("there is nothing to rescue", "node", "rescue", "--quorum", "1")
	r.lose(1, 2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Online == 1 && st.Meta.Leader == "" })
	awaitStatusOf(t, cl, func(st admin.Status) bool { // n1 saw every write, and has it
		complete := 0
		for _, b := range st.Buckets {
			if b.Leader == "" && b.Loss != nil && b.Loss.Seen > 0 && b.Loss.Seen <= b.Loss.Left {
				complete++
			}
		}
		return complete >= 2 // users, and the stream that every request writes to
	})

	r.fails("n2 and n3 do not answer, and are not fenced", "node", "rescue", "--quorum", "1")
	r.fails("it is running", "node", "fence", "n1")
	r.fails("no node is named n9", "node", "fence", "n9")
	r.fails("not a node's name", "node", "fence", "no name")
	r.follow("Lower the quorum, and remove the fenced nodes")
	r.fails("its number was not given. 1 of 3 members are left (n1)", "node", "rescue")
	r.fails("was not lowered to 2: 1 of 3 members are left", "node", "rescue", "--quorum", "2")
	r.fails(`--quorum "N" is not a number of nodes`, "node", "rescue", "--quorum", "N")
	r.fails("was not lowered to -1", "node", "rescue", "--quorum", "-1")
	r.refill = func() { // a power cut, before any other machine is there
		r.Kill(0)
		r.Start(0)
	}
	r.fresh = []string{"n4", "n5"}
	report := r.follow("")
	if !strings.Contains(report.Text, "every replica holds the same rows") {
		t.Errorf("at the end: %s", report.Text)
	}
	r.checkRows(users)
	checkRescued(t, cl, []string{"n1", "n4", "n5"}, "node-fence name=n2", "node-fence name=n3", "node-rescue quorum=1")
	r.fails("n2 was removed by", "node", "add", "n2")
}

// checkRows fails unless the users are there.
func (r *rescuer) checkRows(users []core.User) {
	r.t.Helper()
	cl := r.Client(0)
	for _, u := range users {
		if got, err := cl.UserGet(r.t.Context(), string(u.ID)); err != nil || got.Status != core.UserActive {
			r.t.Errorf("a user from before: %+v, %v", got, err)
		}
	}
}

// checkRescued fails unless the cluster consists of the nodes, and the audit has each action
// that was done without a quorum.
func checkRescued(t *testing.T, cl *admin.Client, nodes []string, actions ...string) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		var answer []string
		for _, n := range st.Nodes {
			answer = append(answer, n.Name)
		}
		for _, ghost := range st.Meta.OrphanPeers { // it ran for a moment, and servers that were restarted since took its vote back
			_, err = cl.NodeRemove(t.Context(), ghost)
			return fmt.Errorf("%s counts: %w", ghost, err)
		}
		if !slices.Equal(answer, nodes) || st.Meta.Size != len(nodes) {
			return fmt.Errorf("the nodes are %v, the meta group %+v", answer, st.Meta)
		}
		return nil
	})
	nodetest.Wait(t, 30*time.Second, func() error {
		page, err := cl.Audit(t.Context(), admin.AuditRequest{})
		if err != nil {
			return err
		}
		for _, want := range actions {
			if !slices.ContainsFunc(page.Records, func(a audit.Record) bool { return a.Verb+" "+a.Args == want && a.Outcome == audit.OutcomeOK }) {
				return fmt.Errorf("%q is not in the audit: %+v", want, page.Records)
			}
		}
		return nil
	})
}

// TestRescueOfARestartedNode: one of three machines is down while the others revoke a user and
// add one. Then these burn. Alone the first one does nothing, so that a new machine comes
// first. Changes that only the lost nodes had are gone, a revocation too: the user is admitted
// again.
func TestRescueOfARestartedNode(t *testing.T) {
	t.Parallel()
	r, cl := newRescuer(t, 3, nodetest.Config{})
	add := func(cl *admin.Client) (u core.User) {
		nodetest.Wait(t, 60*time.Second, func() (err error) { // an election may be under way
			u, err = cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
			return err
		})
		return u
	}
	kept := add(cl)
	r.Kill(0)
	others := r.Client(1, 2)
	late := add(others)
	if _, err := others.UserRevoke(t.Context(), string(kept.ID)); err != nil {
		t.Fatal(err)
	}
	r.lose(1, 2)
	r.Start(0)
	cl = r.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.NoRoute })
	r.fails("does nothing in a group before it does", "node", "rescue", "--quorum", "1")
	r.fresh = []string{"n4", "n5"}
	report := r.follow("The meta group has its own quorum again")
	if !strings.HasPrefix(r.log[0], "Connect a new node") || !strings.Contains(report.Text, "the lower quorum ends in 4m") {
		t.Errorf("the guide said %q, and at the end: %s", r.log, report.Text)
	}
	checkRescued(t, cl, []string{"n1", "n4", "n5"}, "node-fence name=n2", "node-fence name=n3", "node-rescue quorum=1")
	r.checkRows([]core.User{kept})
	if _, err := r.Client(0).UserGet(t.Context(), string(late.ID)); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the user whom only the lost nodes knew: %v", err)
	}
}

// TestRescueAfterAPowerCut: of five nodes two burn, and one hangs: it is not fenced while its
// process lives. The two that are left were cut off from power as well. They go on, with two
// replicas of everything, though one dies while it lowers the quorum. The one that hung is started again: it is refused, and ends.
func TestRescueAfterAPowerCut(t *testing.T) {
	t.Parallel()
	r, cl := newRescuer(t, 5, nodetest.Config{Replicas: 5})
	addUsers(t, cl, 5)
	r.lose(4)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.IsSilent("n5") && st.Meta.Leader != "" })
	r.fails("a majority of the nodes answers, and can remove it", "node", "fence", "n5")
	var report guide.Report
	if code := r.run(&report, "guide", "rescue"); code != exitNotApplicable {
		t.Errorf("with a majority: exit %d: %s", code, report.Text)
	}
	r.lose(3)
	r.Signal(2, syscall.SIGSTOP)
	for _, i := range []int{0, 1} {
		r.Kill(i)
		r.Start(i)
	}
	cl = r.Client(0)
	r.awaitRefusal("finds a process that listens at "+r.Configs[2].ClusterListen, "node", "fence", "n3")
	r.Kill(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Online == 2 && len(st.Nodes) == 5 })
	r.cut, r.refill = true, r.scaleToTwo
	report = r.follow("")
	if !strings.Contains(report.Text, "every replica holds the same rows") {
		t.Errorf("at the end: %s", report.Text)
	}
	checkRescued(t, cl, []string{"n1", "n2"}, "node-fence name=n3", "node-fence name=n4", "node-fence name=n5", "node-rescue quorum=2")

	r.Start(2)
	nodetest.Wait(t, 60*time.Second, func() error {
		if log := r.Log(2); !strings.Contains(log, "n3 was removed from the cluster by ana") {
			return fmt.Errorf("n3 goes on: %s", log)
		}
		return nil
	})
	checkRescued(t, cl, []string{"n1", "n2"})
}

// scaleToTwo does what `bucket scale` says: it wants the configurations changed first.
func (r *rescuer) scaleToTwo() {
	r.t.Helper()
	for _, i := range []int{0, 1} {
		r.Configs[i].Replicas = 2
		nodetest.WriteConfig(r.t, r.Configs[i].Data+".toml", r.Configs[i], "")
		r.Stop(i)
		r.Start(i)
		awaitStatusOf(r.t, r.Client(i), func(st admin.Status) bool { return st.Meta.Online == 2 && cluster.RescuePending(st.View) == "" })
	}
	nodetest.Wait(r.t, 60*time.Second, func() error {
		_, err := r.Client(0).BucketScale(r.t.Context(), 2)
		return err
	})
}

// TestNoRescueWithoutAReplica: the three nodes are lost that have the only replicas of a
// bucket. The meta group would create it anew, empty. So no node is fenced, which is final.
func TestNoRescueWithoutAReplica(t *testing.T) {
	t.Parallel()
	r, cl := newRescuer(t, 5, nodetest.Config{Replicas: 3})
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	notHere := func(b cluster.Bucket) bool {
		return !slices.ContainsFunc(b.Replicas, func(x cluster.Replica) bool { return x.Node == "n1" })
	}
	i := slices.IndexFunc(st.AllBuckets(), notHere)
	if i < 0 {
		t.Skip("the servers gave n1 a replica of every bucket")
	}
	bucket := st.AllBuckets()[i]
	for _, x := range bucket.Replicas {
		r.lose(slices.IndexFunc(r.Configs, func(c config.Node) bool { return c.Name == x.Node }))
	}
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Online == 2 })
	lost := bucket.Replicas[0].Node
	r.fails("none of them has a replica of", "node", "fence", lost)
	var report guide.Report
	if code := r.run(&report, "guide", "rescue"); code != exitUnsafe || !strings.Contains(report.Text, "none of them has a replica of") {
		t.Errorf("the guide: exit %d: %s", code, report.Text)
	}
	if st, err = nodetest.Status(t.Context(), cl); err != nil || len(st.Removed) > 0 || !st.IsSilent(lost) {
		t.Errorf("after the refusal: %+v, %v", st.Removed, err)
	}
}
