package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/client"
	"unibus/core/guide"
	"unibus/core/nodetest"
)

// TestGuideOfALostUserKey: bob's key is stolen while he is connected. An operator does what the
// guide says: the key opens no node and no room key, and bob's rooms are those of a new key.
func TestGuideOfALostUserKey(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	s := newStory(t)
	ann, bob, cem := s.user("ann"), s.user("bob"), s.user("cem")
	plans := s.create(ann, client.NewRoom{ID: "plans", Name: "The plans", Encrypted: true})
	s.invite(plans, bob, cem)
	s.invite(s.create(bob, client.NewRoom{ID: "lobby", Name: "Lobby"}), cem)
	first := epochOf(t, ann.in["plans"])
	o := &operator{Processes: s.p, t: t, flags: []string{"--server", strings.Join(s.p.URLs(), ","), "--identity", s.p.AdminSeedFile}}

	var r guide.Report
	for key, want := range map[string]string{
		nodetest.Identity(t).Public(): "there is no user",
		s.p.Admin.Public():            "is that of an operator",
	} {
		if code := o.run(&r, "guide", "user-key-lost", key); code != exitNotApplicable || !strings.Contains(r.Text, want) {
			t.Errorf("%s: exit %d: %s, want %s", key, code, r.Text, want)
		}
	}
	for _, key := range []string{"bob", string(bob.id)[1:]} {
		out, err := exec.Command(program(t, "unibusd"), append([]string{"guide", "user-key-lost", key}, o.flags...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "takes a user's public nkey") {
			t.Errorf("%s: %v: %s", key, err, out)
		}
	}
	gone := s.nodeOf(cem) // it does not say whether bob has a session there
	s.p.Kill(gone)
	waited := false
	var done []string
	successor, end := "", time.Now().Add(2*time.Minute)
	for code := exitNextStep; code != 0; {
		if code = o.run(&r, "guide", "user-key-lost", string(bob.id)); time.Now().After(end) || code != 0 && code != exitNextStep && code != 4 {
			t.Fatalf("exit %d: %s: %+v", code, r.Text, open(r))
		}
		step := open(r)
		if step.State == guide.Waiting && strings.Contains(step.Seen, s.p.Configs[gone].Name+": ") && !waited {
			waited = true
			s.p.Start(gone)
		}
		if step.State != guide.Next || len(done) > 0 && done[len(done)-1] == step.Title && strings.HasPrefix(step.Title, "Every encrypted") {
			continue // ann's program makes the key that was asked for
		}
		done = append(done, step.Title)
		if strings.HasPrefix(step.Title, "Every encrypted") {
			_, _ = exec.Command(program(t, "unibusd"), strings.Fields(step.Type[0])[1:]...).CombinedOutput() // refused if she was faster
			continue
		}
		successor = typeUserSteps(t, step, successor)
	}
	t.Logf("%s\ndone by hand: %q", r.Text, done)
	if !waited {
		t.Error("the guide did not wait for the node that was down")
	}
	if !strings.HasPrefix(done[0], "Revoke bob ") || done[len(done)-1] != "Give the person a new key" || !strings.Contains(r.Text, "has to invite it: plans") {
		t.Errorf("the guide said %q, and at the end: %s", done, r.Text)
	}
	s.keptOut(bob)
	s.epochAfter("plans", first, ann, cem)
	if out := s.command("room", "get", "plans"); !strings.Contains(out, "keys: ok") {
		t.Errorf("the plans:\n%s", out)
	}
	if out := s.command("room", "get", "lobby"); strings.Contains(out, string(bob.id)) || !strings.Contains(out, successor) {
		t.Errorf("the lobby, of the new key %s:\n%s", successor, out)
	}
}

// typeUserSteps runs the commands of a step, NEW being the key that one of them makes.
func typeUserSteps(t *testing.T, step guide.Step, successor string) string {
	t.Helper()
	for _, line := range step.Type {
		words := strings.Fields(line)[1:]
		if words[0] == "keygen" && successor != "" {
			continue // the command after it failed
		}
		for i, w := range words {
			switch w {
			case "NEW":
				words[i] = successor
			case "new-user.nk":
				words[i] = filepath.Join(t.TempDir(), w)
			}
		}
		out, err := exec.Command(program(t, "unibusd"), words...).CombinedOutput()
		if err != nil {
			t.Logf("%s: %v: %s", line, err, out) // an election may be under way: the guide says it again
			return successor
		}
		if words[0] == "keygen" {
			successor = string(core.UserID(strings.TrimSpace(string(out))))
		}
	}
	return successor
}
