package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/cmd/cli/clitest"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/doctor"
	"unibus/core/guide"
	"unibus/core/nodetest"
)

// TestGuidesNameWhatThereIs: every command of ours that a guide says to type is one that runs.
func TestGuidesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	checked := 0
	for line := range strings.Lines(read(t, filepath.Join("..", "..", "core", "guide", "testdata", "guides.txt"))) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "type: ")
		program := programs()[strings.Fields(command + " -")[0]]
		if !ok || program == nil {
			continue
		}
		checked++
		if err := clitest.Parse(program(), command); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if checked < 10 {
		t.Errorf("%d commands were found", checked)
	}
}

// TestBadGuides are refused before a connection is made.
func TestBadGuides(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"guide frobnicate":                  "there is no guide",
		"guide node-lost n3":                "takes OLD NEW, and 1 were given",
		"guide restart n1":                  "takes no arguments, and 1 were given",
		"guide restart --since yesterday":   `--since "yesterday" is not a time`,
		"guide certificates --old-ca x":     `--old-ca "x" is not the ID of a CA`,
		"guide restart --old-ca aabbccdd":   "--old-ca is for the guide certificates alone",
		"guide restart --identity none.nk":  "no node is named",
		"guide quorum-lost --server x --no": "unknown flag",
	} {
		out, err := exec.Command(program(t, "unibusd"), strings.Fields(args)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
}

// operator plays guides and does what they say.
type operator struct {
	*nodetest.Processes
	t     *testing.T
	flags []string
	log   []string // what was done
}

func (o *operator) run(into any, args ...string) int {
	o.t.Helper()
	cmd := exec.Command(program(o.t, "unibusd"), append(append(args, "--json"), o.flags...)...)
	out, _ := cmd.Output()
	if err := json.Unmarshal(out, into); err != nil {
		o.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return cmd.ProcessState.ExitCode()
}

// open is the step of a report that is next.
func open(r guide.Report) guide.Step {
	i := slices.IndexFunc(r.Steps, func(s guide.Step) bool { return s.State != guide.Done })
	if i < 0 {
		return guide.Step{State: guide.Done}
	}
	return r.Steps[i]
}

// follow does what a guide says until it is done; between two steps the command is left.
func (o *operator) follow(args ...string) {
	o.t.Helper()
	end := time.Now().Add(3 * time.Minute)
	for code := exitNextStep; code != 0; {
		var r guide.Report
		code = o.run(&r, args...)
		s := open(r)
		switch {
		case time.Now().After(end) || code != 0 && code != exitNextStep && code != 4:
			o.t.Fatalf("exit %d: %s: %+v", code, r.Text, s)
		case s.State == guide.Next:
			o.do(s)
		}
	}
}

// do does what a step says. A node without a service manager is restarted here as it runs
// here. A node is under a service manager only by name, because such a manager started the
// tests.
func (o *operator) do(s guide.Step) {
	o.t.Helper()
	verb, rest, _ := strings.Cut(s.Title, " ")
	if verb == "Restart" || verb == "Start" {
		o.log = append(o.log, s.Title)
		i := slices.IndexFunc(o.Configs, func(c config.Node) bool { return strings.HasPrefix(rest, c.Name) })
		if verb == "Restart" { // and asks the guide again at once: it knows what was heard of the last run from this one
			o.Stop(i)
			o.Start(i)
			return
		}
		o.Start(i)
		awaitStatusOf(o.t, o.Client(0, 1, 2), func(st admin.Status) bool { return !st.IsSilent(o.Configs[i].Name) })
		return
	}
	if verb == "Take" {
		o.forget(s)
		return
	}
	for _, line := range s.Type {
		o.log = append(o.log, s.Title)
		words := strings.Fields(line)
		if out, err := exec.Command(program(o.t, words[0]), words[1:]...).CombinedOutput(); err != nil {
			o.t.Logf("%s: %v: %s", line, err, out) // an election may be under way: the guide says it again
		}
	}
}

// forget edits the configuration file that a step names, as an editor does it.
func (o *operator) forget(s guide.Step) {
	o.t.Helper()
	if slices.Contains(o.log, s.Title) {
		return // a file that changes all the time is not read
	}
	o.log = append(o.log, s.Title)
	for i, c := range o.Configs {
		if file := c.Data + ".toml"; strings.Contains(s.Title, file) {
			c.Operators = slices.DeleteFunc(slices.Clone(c.Operators), func(op core.Operator) bool { return strings.Contains(s.Do, op.Key) })
			o.Configs[i] = c
			nodetest.WriteConfig(o.t, file, c, "")
		}
	}
}

// TestGuideOfALostOperatorKey: an admin's key is stolen. Another admin follows the guide: every
// node refuses the key, and no configuration file names it in the end.
func TestGuideOfALostOperatorKey(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	bo := nodetest.Identity(t)
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{
		Store: "kv", Listed: true, Operators: []core.Operator{{Key: bo.Public(), Role: core.OperatorAdmin, Name: "bo"}},
	})
	cl := p.Client(0, 1, 2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	o := &operator{Processes: p, t: t, flags: []string{"--server", strings.Join(p.URLs(0, 1, 2), ","), "--identity", p.AdminSeedFile}}
	o.follow("guide", "operator-key-lost", "bo")
	took := slices.DeleteFunc(slices.Clone(o.log), func(s string) bool { return !strings.HasPrefix(s, "Take the key out of ") })
	if !strings.HasPrefix(o.log[0], "Remove bo") || len(slices.Compact(took)) != 3 {
		t.Errorf("the guide said %q", o.log)
	}
	for i := range p.Configs {
		if nc, err := p.Connect(i, bo); err == nil {
			nc.Close()
			t.Errorf("%s admits the key", p.Configs[i].Name)
		}
	}
	var r guide.Report
	if code := o.run(&r, "guide", "operator-key-lost", "eve"); code != exitNotApplicable {
		t.Errorf("an unknown operator: exit %d: %s", code, r.Text)
	}
}

// TestGuidesArePlayed: an operator restarts all nodes by the guide, loses a majority and
// brings it back by the guide. Then one bit of a replica flips on a disk: the doctor names
// the node, the bucket and the key, and the guide does not restart another node. A restart
// of that node repairs it.
func TestGuidesArePlayed(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0, 1, 2)
	healthy := func(st admin.Status) bool { return st.Verdict == cluster.Healthy }
	awaitStatusOf(t, cl, healthy)
	o := &operator{Processes: p, t: t, flags: []string{"--server", strings.Join(p.URLs(0, 1, 2), ","), "--identity", p.AdminSeedFile}}
	var users []core.User
	for range 5 {
		u, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())})
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}

	watching := startCommand(t, append([]string{"guide", "restart", "--wait"}, o.flags...)...)
	watching.await(t, "Next: ")
	begun := runs(t, cl)
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	o.follow("guide", "restart", "--since", st.At.Time().UTC().Format(time.RFC3339))
	nodetest.Wait(t, 10*time.Second, func() error { // the guide asks the restarted node itself: the answering one may hear of its run later
		for name, id := range runs(t, cl) {
			if begun[name] == id {
				return fmt.Errorf("%s was not restarted: %q", name, o.log)
			}
		}
		return nil
	})
	if restarts := slices.DeleteFunc(slices.Clone(o.log), func(s string) bool { return !strings.HasPrefix(s, "Restart") }); len(restarts) != 3 {
		t.Errorf("restarted %q", restarts)
	}
	if err := watching.cmd.Wait(); err != nil || !strings.Contains(watching.out.String(), "Every node was restarted since") {
		t.Errorf("the waiting guide: %v: %s", err, watching.out)
	}

	p.Kill(1)
	p.Kill(2)
	awaitStatusOf(t, p.Client(0), func(st admin.Status) bool { return st.IsSilent("n2") && st.IsSilent("n3") })
	o.follow("guide", "quorum-lost")
	awaitStatusOf(t, cl, healthy)

	key := string(users[2].ID)
	follower := followerOf(t, p, cl)
	nodetest.FlipBit(t, p.Configs[follower].Data, core.TableUsers, key)
	var report doctor.Report
	nodetest.Wait(t, 60*time.Second, func() error { // the server answers from memory: the node reads the block beside it
		if code := o.run(&report, "doctor"); code != 1 {
			return fmt.Errorf("exit %d: %+v", code, report)
		}
		return nil
	})
	want := doctor.Fault{Node: p.Configs[follower].Name, Bucket: core.TableUsers.Bucket(), Key: key}
	found := slices.IndexFunc(report.Checks, func(c doctor.Check) bool { return c.State == doctor.Wrong })
	faults := report.Checks[found].Faults
	// The server may have forgotten the block, and read it again: then it has lost the row.
	if len(faults) != 1 || faults[0].Text != "the row is missing there" && !strings.Contains(faults[0].Text, "in the block 1.blk is not what was written") {
		t.Errorf("found %+v, want a damaged record or a missing row", faults)
	} else if faults[0].Text = ""; faults[0] != want {
		t.Errorf("found %+v, want %+v", faults[0], want)
	}
	var r guide.Report
	nodetest.Wait(t, 30*time.Second, func() error { // a replica that is behind for a moment comes first
		code := o.run(&r, "guide", "restart")
		says := strings.Contains(r.Text, "on "+want.Node+" differs") || strings.Contains(r.Text, "the disk of "+want.Node+" holds 1 record") // whichever is noted first
		if code != exitUnsafe || !says {
			return fmt.Errorf("the guide with a damaged replica: exit %d: %s", code, r.Text)
		}
		return nil
	})
	p.Stop(follower)
	p.Start(follower)
	nodetest.Wait(t, 60*time.Second, func() error {
		if code := o.run(&report, "doctor"); code != 0 {
			return fmt.Errorf("exit %d: %+v", code, report)
		}
		return nil
	})
}

func runs(t *testing.T, cl *admin.Client) map[string]string {
	t.Helper()
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, n := range st.Nodes {
		out[n.Name] = n.ID
	}
	return out
}

func followerOf(t *testing.T, p *nodetest.Processes, cl *admin.Client) int {
	t.Helper()
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(st.Buckets, func(b cluster.Bucket) bool { return b.Name == core.TableUsers.Bucket() })
	return slices.IndexFunc(p.Configs, func(c config.Node) bool { return c.Name != st.Buckets[i].Leader })
}

// TestGuideNamesTheGivenConnection: each command that the guide prints acts on the cluster that
// was asked, as the operator who asked.
func TestGuideNamesTheGivenConnection(t *testing.T) {
	t.Parallel()
	var g guideFlags
	g.Context, g.Servers, g.Identity, g.ClusterKey = "ops", []string{"tls://other:4222"}, "/k/ana.nk", "XKEY"
	g.TLSFirst, g.Plaintext = true, true
	want := "unibusd node resume n1 --context ops --server tls://other:4222 --identity /k/ana.nk --cluster-key XKEY --insecure-plaintext --tls-first"
	if got := g.withConnectionFlags("unibusd node resume n1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	golden := read(t, filepath.Join("..", "..", "core", "guide", "testdata", "guides.txt"))
	for line := range strings.Lines(golden) { // the console does not know our commands, and asks the guide
		if _, line, ok := strings.Cut(strings.TrimSpace(line), "type: "); ok && (g.withConnectionFlags(line) != line) != guide.NeedsConnection(line) {
			t.Errorf("%s: the console says %v", line, guide.NeedsConnection(line))
		}
	}
	if got, want := g.withConnectionFlags("systemctl restart unibusd"), "systemctl restart unibusd"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLostNodeGuideIsPlayed: the machine of n3 is lost with its disk, and an operator does what
// the guide says until it is done: n4 has every row, and n3 counts nowhere.
func TestLostNodeGuideIsPlayed(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0, 1)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	addUsers(t, cl, 20)
	o := &operator{Processes: p, t: t, flags: []string{"--server", strings.Join(p.URLs(0, 1), ","), "--identity", p.AdminSeedFile}}
	guideOf := []string{"guide", "node-lost", "n3", "n4"}
	var r guide.Report
	if code := o.run(&r, guideOf...); code != exitUnsafe || !strings.Contains(r.Text, "n3 cannot be removed: it is running") {
		t.Errorf("while n3 runs: exit %d: %s", code, r.Text)
	}
	p.Kill(2)
	if err := os.RemoveAll(p.Configs[2].Data); err != nil {
		t.Fatal(err)
	}
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.IsSilent("n3") })

	var replace guide.Step
	nodetest.Wait(t, time.Minute, func() error {
		code := o.run(&r, guideOf...)
		if replace = open(r); code != exitNextStep || replace.State != guide.Next {
			return fmt.Errorf("exit %d: %s: %+v", code, r.Text, replace)
		}
		return nil
	})
	i := slices.IndexFunc(replace.Type, func(line string) bool { return strings.HasPrefix(line, "unibusd node replace n3 n4 ") })
	if i < 0 {
		t.Fatalf("the guide says %+v", replace)
	}
	running := startCommand(t, strings.Fields(replace.Type[i])[1:]...)
	running.await(t, "n4 has never answered")
	p.Join("n4")
	if err := running.cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, running.out)
	}
	o.follow(guideOf...)
	if o.run(&r, guideOf...); r.Text != "n3 was removed, and n4 has every row, by a comparison of all replicas." || len(o.log) > 0 {
		t.Errorf("at the end: %s; more was to be done: %q", r.Text, o.log)
	}
	checkReplaced(t, cl)
}

// TestGuideAfterARestart: answers of a node's last run count for some seconds after it was
// killed and started again. Meanwhile the guide does not tell to restart it once more.
func TestGuideAfterARestart(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0, 1, 2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	o := &operator{Processes: p, t: t, flags: []string{"--server", strings.Join(p.URLs(0, 1, 2), ","), "--identity", p.AdminSeedFile}}
	st, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	round := []string{"guide", "restart", "--since", st.At.Time().Add(time.Second).UTC().Format(time.RFC3339)}
	var restart guide.Step
	nodetest.Wait(t, time.Minute, func() error {
		var r guide.Report
		o.run(&r, round...)
		restart = open(r)
		if strings.HasPrefix(restart.Title, "Hand over") {
			o.do(restart)
		}
		if !strings.HasPrefix(restart.Title, "Restart ") {
			return fmt.Errorf("%s: %+v", r.Text, restart)
		}
		return nil
	})
	i := slices.IndexFunc(p.Configs, func(c config.Node) bool { return strings.HasPrefix(restart.Title, "Restart "+c.Name) })
	p.Kill(i)
	p.Start(i)
	nodetest.Wait(t, time.Minute, func() error {
		var r guide.Report
		if code := o.run(&r, round...); code == 4 {
			return fmt.Errorf("no node answers")
		}
		s := open(r)
		if s.Title == restart.Title && s.State == guide.Next {
			t.Fatalf("again: %s: %+v", r.Text, s)
		}
		if !slices.ContainsFunc(r.Steps, func(s guide.Step) bool { return s.Title == restart.Title && s.State == guide.Done }) {
			return fmt.Errorf("%s: %+v", r.Text, s)
		}
		return nil
	})
}
