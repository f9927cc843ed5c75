package main

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"unibus/core/admin"
	"unibus/core/demo"
	"unibus/core/nodetest"
)

// randomKeysFor is how long random keys are pressed; "make nemesis" presses them for a minute.
var randomKeysFor = flag.Duration("random-keys", 3*time.Second, "how long random keys are pressed")

// freezeTimeout is how long the console may take for what was pressed. A frozen one never answers.
const freezeTimeout = 10 * time.Second

// TestConsoleTakesRandomKeys: on a live cluster it neither freezes nor ends nor acts. The keys never confirm
// a dialog: enter and y come first in a burst, while none is open.
func TestConsoleTakesRandomKeys(t *testing.T) {
	nodetest.SkipShort(t)
	d := openDemo(t)
	term := openConsole(t, d, 100, 30)
	waitFor(t, term, "● healthy")
	desc := d.Description()
	cl, err := demo.NewClient(desc, desc.Identities.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	before := newestRecord(t, cl)
	first, more := []string{"enter", "y", "1", "4", "6", ":", "/"}, []string{"tab", "up", "down", "left", "right", "pgdown", "end", "space", "backspace", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
	for r := '!'; r <= '~'; r++ {
		if r != 'q' && r != 'y' && r != 'D' { // D starts a dry run, which writes nothing, and so asks nothing
			more = append(more, string(r))
		}
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) //nolint:gosec // a test
	bursts := 0
	for end := time.Now().Add(*randomKeysFor); time.Now().Before(end); bursts++ {
		keys := []string{first[rng.IntN(len(first))]}
		for range 20 {
			keys = append(keys, more[rng.IntN(len(more))])
		}
		if err := term.Type(freezeTimeout, append(keys, "esc", "esc", "esc", "esc", "esc", "esc", "?")...); err != nil {
			t.Fatalf("%v after %q", err, keys)
		}
		if err := term.WaitFor("Everywhere", freezeTimeout); err != nil {
			t.Fatalf("after %q the help does not open: %v", keys, err)
		}
		if err := term.Type(freezeTimeout, "esc"); err != nil {
			t.Fatal(err)
		}
	}
	if after := newestRecord(t, cl); after != before {
		t.Errorf("random keys have changed the cluster: the newest record of the audit is %d, it was %d", after, before)
	}
	t.Logf("%d bursts", bursts)
}

// newestRecord is the number of the newest record of the audit; 0 without any.
func newestRecord(t *testing.T, cl *admin.Client) uint64 {
	t.Helper()
	a, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Records) == 0 {
		return 0
	}
	return a.Records[0].Seq
}
