package tui_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/tuitest"
)

func TestAuditFetchesOlderRecordsAtTheEndOfTheList(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	s, f := still(t, w)
	s.Press("9")
	shows(t, s, "100 actions, the newest first; older ones are fetched at the end of the list.")
	s.Press("down")
	shows(t, s, "100 actions")
	s.Press("end")
	shows(t, s, "200 actions")
	f.Change(func(w *tuitest.World) { // something new, and an outcome: neither costs what was read
		now := append([]admin.AuditRecord(nil), w.Audit...)
		now[0].Outcome, now[0].TookMS = "ok", 21_000
		fresh := now[0]
		fresh.Seq, fresh.ID, fresh.Verb = 514, "A00514", "user-activate"
		w.Audit = append([]admin.AuditRecord{fresh}, now...)
	})
	s.Tick()
	shows(t, s, "201 actions")
	s.Press("home")
	shows(t, s, "user-activate", "bucket-scale     ● ok        21 s")
	s.Press("end", "end")
	shows(t, s, "246 actions, the newest first.", "worker-001")
}

func TestAuditFiltersSortsAndOpens(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Healthy())
	s.Press(":", "audit", "enter", "/", "cutover", "enter")
	shows(t, s, "1 match /cutover.", "✖ failed")
	hides(t, s, "user-add")
	s.Press("enter")
	shows(t, s, "✖ failed  migrate-cutover", "failed, took 1.8 s: UNIBUS_members is not equal on n3", "ana (admin)")
	s.Press("esc", "esc", "s", "s", "s", "s") // the verb
	shows(t, s, "VERB↑", "> 09:04:31")
	s.Press("s", "home", "enter") // the outcome: what wants a look first
	shows(t, s, "? unknown  bucket-scale", "none is recorded: the action is under way, or its node died.")
}

func TestAuditWithoutRecordsSaysWhatWouldFillIt(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	w.Audit, w.Status.Clustered = nil, false
	s, _ := still(t, w)
	s.Press("9", "down", "end", "enter", "y")
	shows(t, s, "0 actions", "n1's own record", "No operator has changed anything yet.", "nothing to copy")
}

func TestRolloutSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	off := tuitest.Soft()
	n := off.Rollout.Nodes["n2"]
	n.Active = map[string]string{"bus-auth": "off", "bus-tls": "true", "decentralized": "true"}
	off.Rollout.Nodes["n2"] = n
	off.Rollout.Safe, off.Rollout.Verdict = false, "not known: with bus-auth off nothing is recorded on n2; run soft there first"
	differ := tuitest.Soft()
	n.Active = map[string]string{"bus-auth": "soft", "bus-tls": "false", "decentralized": "true"}
	differ.Rollout.Nodes["n2"] = n
	differ.Rollout.Safe, differ.Rollout.Verdict = false, "not safe: the nodes differ in bus-tls"
	fresh := tuitest.Soft()
	fresh.Rollout.Nodes["n3"] = admin.RolloutNode{Active: fresh.Rollout.Nodes["n1"].Active, Since: core.MillisOf(tuitest.Now.Add(-40 * 1e9))}
	for name, c := range map[string]struct {
		world tuitest.World
		texts []string
	}{
		"enforced": {tuitest.Healthy(), []string{"● Enforce is active on every node", "Nothing is recorded under enforce"}},
		"safe":     {tuitest.Soft(), []string{"● Safe to enforce:", "covers 3 h", "one after the other with --bus-auth enforce", "· soft", "Nobody so far."}},
		"fresh":    {fresh, []string{"The shortest record covers 40 s"}},
		"unsafe":   {tuitest.Unsafe(), []string{"▲ Not safe to enforce: 46 would be denied on n1, n2.", "45 and more", "≠ enforce", "n1 lists the latest 5 of 45, and had no room to record 3 admissions."}},
		"silent":   {tuitest.Degraded(), []string{"? Not known whether enforce is safe: no answer from n3.", "? unknown: no answer", "n3 could not say"}},
		"off":      {off, []string{"? Not known", "start n2 with --bus-auth soft", "not recorded", "n2 could not say"}},
		"differ":   {differ, []string{"▲ Not safe to enforce: the nodes differ in bus-tls.", "≠ false", "≠ true", "the same settings"}},
	} {
		s, _ := still(t, c.world)
		s.Press("8")
		for _, x := range c.texts {
			if !strings.Contains(strings.Join(strings.Fields(s.Screen()), " "), x) {
				t.Errorf("%s: the screen does not show %q:\n%s", name, x, s.Screen())
			}
		}
	}
}

func TestRolloutCopiesTheKeyThatIsToBeAdded(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Unsafe())
	key := tuitest.Unsafe().Rollout.Nodes["n1"].WouldDeny[1].Key
	s.Press("8", "down", "y")
	shows(t, s, "Copied the key", key)
	s.Press("esc", "down", "down", "down", "enter")
	shows(t, s, "none was shown", "2001:db8::17")
}

func TestProvenIsAnAgeOrIdleOrNone(t *testing.T) {
	t.Parallel()
	column := func(w tuitest.World) []string {
		s, _ := still(t, w)
		s.Press("2")
		var out []string
		at := -1
		for _, l := range strings.Split(s.Screen(), "\n") {
			if i := strings.Index(l, "PROVEN"); i >= 0 {
				at = i
			} else if cells := []rune(l); at >= 0 && len(cells) > at+6 && len(out) < 3 {
				out = append(out, strings.TrimSpace(string(cells[at:at+6])))
			}
		}
		return out
	}
	lost := tuitest.Lost()
	info := *lost.Status.Nodes[0].Info
	info.ProvenMS = -1
	lost.Status.Nodes[0].Info = &info
	for _, c := range []struct {
		name  string
		world tuitest.World
		want  []string
	}{
		{"healthy", tuitest.Healthy(), []string{"0.4 s", "idle", "0.2 s"}},
		{"sqlite", tuitest.Legacy(), []string{"-", "-", "-"}},
		{"no quorum", lost, []string{"none", "-", "-"}},
	} {
		if got := column(c.world); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRevokeShowsItsProof(t *testing.T) {
	t.Parallel()
	s, _ := still(t, tuitest.Degraded())
	s.Press("4", ":", "user revoke chidi-00", "enter")
	s.Settle()
	s.Press("chidi-00", "enter", "enter")
	s.Settle()
	shows(t, s, "chidi-00 is revoked", "n1: 2 sessions ended in 9 ms", "n2: no session",
		"n3: unknown, it did not answer in time. Sessions may still be open there.",
		"Do: ask again once every node answers: unibusd user revoke", "1 encrypted room needs a new key, for this user can read the old one: room-02")

	w := tuitest.Healthy()
	w.Rooms = nil
	s, _ = still(t, w)
	s.Press("4", ":", "user revoke chidi-00", "enter")
	s.Settle()
	s.Press("chidi-00", "enter", "enter")
	s.Settle()
	shows(t, s, "chidi-00 is revoked; n1: 2 sessions ended in 9 ms, n2: no session, n3: no session.")
	hides(t, s, "[ Close ]")
}

func TestSameAsFollowsWhatIsTyped(t *testing.T) {
	t.Parallel()
	w := tuitest.Healthy()
	for i := range w.Status.Buckets { // there is something to raise
		w.Status.Buckets[i].Wanted = 1
	}
	s, _ := still(t, w)
	id := string(tuitest.Healthy().Users[9].ID)
	s.Press("4", "a")
	s.Settle()
	shows(t, s, "Same as: unibusd user add NKEY --role member")
	s.Press(id, "enter", "new bie")
	shows(t, s, "Same as: unibusd user add "+id, "--name 'new bie' --role member")
	s.Press("esc", "3", "c")
	s.Settle()
	shows(t, s, "bucket scale --replicas 1") // what is there now
	s.Press("backspace", "3")
	shows(t, s, "bucket scale --replicas 3")
}

func TestOperatorRollsEnforceOut(t *testing.T) {
	t.Parallel()
	term, f := start(t, tuitest.Unsafe(), 80, 24)
	wait(t, term, "live from n1")
	term.Press("8")
	wait(t, term, "46 would be denied on n1, n2", "203.0.113.12")
	f.Set(tuitest.Soft())
	wait(t, term, "Safe to enforce", "Nobody so far.")
	f.Set(tuitest.Degraded())
	term.Press("1", "8") // a page that is opened asks at once
	wait(t, term, "no answer from n3", "unknown: no answer")
	f.Set(tuitest.Healthy())
	term.Press("1", "8")
	wait(t, term, "Enforce is active on every node")
}

func TestRevocationIsProvenOnTheScreen(t *testing.T) {
	t.Parallel()
	term, f := start(t, tuitest.Degraded(), 100, 30)
	wait(t, term, "live from n1")
	term.Press("4")
	wait(t, term, "bruno-00")
	term.Press("down")
	term.Press("r")
	wait(t, term, "Revoke bruno-00?", "enter choose")
	term.Press("bruno-00", "enter", "enter")
	wait(t, term, "n1: 2 sessions ended in 9 ms", "n3: unknown", "a new key")
	term.Press("esc")
	wait(t, term, "190 active, 10 revoked")
	if got := f.Calls(); len(got) != 1 || !strings.HasPrefix(got[0], "user-revoke U") {
		t.Errorf("asked of the cluster: %q", got)
	}
}

func TestAuditIsReadWhileItIsShown(t *testing.T) {
	t.Parallel()
	term, f := start(t, tuitest.Healthy(), 100, 30)
	wait(t, term, "live from n1")
	term.Press("9")
	wait(t, term, "100 actions", "? unknown")
	f.Change(func(w *tuitest.World) {
		now := append([]admin.AuditRecord(nil), w.Audit...)
		now[0].Outcome, now[0].TookMS = "ok", 34
		w.Audit = now
	})
	wait(t, term, "34 ms")
	term.Press("end")
	wait(t, term, "200 actions")
}

func TestPageThatWasNotLookedAtDoesNotComplain(t *testing.T) {
	t.Parallel()
	now := tuitest.Now
	cfg, f := config(tuitest.Healthy())
	cfg.Now = func() time.Time { return now }
	s := tuitest.NewStill(cfg, 100, 30)
	s.Press("9", "1")
	now = now.Add(time.Minute)
	s.Tick()
	f.Fail(core.Errorf(core.KindUnavailable, "no node answers"))
	s.Press("9")
	hides(t, s, "No answer for", "awaited")
	now = now.Add(2 * time.Second)
	s.Tick()
	shows(t, s, "Figures are from 12:04:31; newer ones are awaited.", "100 actions")
	now = now.Add(10 * time.Second)
	s.Tick()
	shows(t, s, "No answer for 1 m 12 s: figures are from 12:04:31.")
	f.Fail(nil)
	s.Tick()
	hides(t, s, "No answer for", "Figures are")
}
