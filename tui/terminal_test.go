package tui_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui"
	"unibus/tui/tuitest"
)

const waitTimeout = 10 * time.Second

func startTerminal(t *testing.T, state tuitest.ClusterState, width, height int) (*tuitest.Terminal, *tuitest.FakeClient) {
	t.Helper()
	cfg, f := newConfig(state)
	cfg.Now = func() time.Time { return tuitest.Now }
	term := tuitest.StartTerminal(cfg, width, height)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Errorf("the console ended with %v", err)
		}
	})
	return term, f
}

func waitFor(t *testing.T, term *tuitest.Terminal, texts ...string) {
	t.Helper()
	for _, x := range texts {
		if err := term.WaitFor(x, waitTimeout); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOperatorMigratesTheControlPlane(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		term, f := startTerminal(t, tuitest.OnSQLite(), size[0], size[1])
		waitFor(t, term, "live from n1", "sqlite on n1")
		term.Press("6")
		waitFor(t, term, "The control plane is in SQLite on n1 alone")
		term.Press("b")
		waitFor(t, term, "enter choose")
		term.Press("enter", "enter", "enter", "enter")
		waitFor(t, term, "The migration has started on n1.")
		f.Set(tuitest.Copying())
		waitFor(t, term, "migrating", "24 100 /s")
		f.Set(tuitest.Verified())
		waitFor(t, term, "= equal")
		term.Press("X")
		waitFor(t, term, "enter choose")
		term.Press("demo", "enter", "enter")
		waitFor(t, term, "The cutover has started.")
		f.Set(tuitest.AfterCutover())
		waitFor(t, term, "The control plane has been on KV since generation 2")
		term.Press("U")
		waitFor(t, term, "enter choose")
		term.Press("demo", "enter", "enter")
		waitFor(t, term, "The rollback has started.")
		f.Set(tuitest.RollingBack())
		waitFor(t, term, "all of it is written to a new SQLite file")
		f.Set(tuitest.RolledBack())
		waitFor(t, term, "● rolledback")
		assertCalls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3", "migrate-cutover n1", "migrate-rollback n1")
	}
}

// TestKeysAreDrawnWhileRequestsHang is not parallel, because it measures time. It takes the median.
func TestKeysAreDrawnWhileRequestsHang(t *testing.T) {
	term, f := startTerminal(t, tuitest.Healthy(), 100, 30)
	waitFor(t, term, "live from n1")
	f.Hang(true)
	var took []time.Duration
	for range 3 {
		for key, text := range map[string]string{"2": "LISTENS", "3": "REPLICAS", "6": "there is nothing to migrate"} {
			began := time.Now()
			term.Press(key)
			waitFor(t, term, text)
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	if d := took[len(took)/2]; d > 200*time.Millisecond {
		t.Errorf("a key took %s until it was drawn (all: %s)", d, took)
	}
	f.Hang(false)
}

func TestNothingChangedNothingWritten(t *testing.T) {
	t.Parallel()
	term, f := startTerminal(t, tuitest.Healthy(), 120, 40)
	waitFor(t, term, "live from n1", "RECENT")
	<-f.AfterPolls(2)
	before := term.Written()
	<-f.AfterPolls(3)
	if n := term.Written() - before; n != 0 {
		t.Errorf("nothing changed, but %d bytes were written", n)
	}
	f.Change(func(state *tuitest.ClusterState) {
		nodes := append([]cluster.Node(nil), state.Status.Nodes...)
		nodes[0].CPU = 7
		state.Status.Nodes = nodes
	})
	waitFor(t, term, "7 %")
	if n := term.Written() - before; n == 0 || n > 60 {
		t.Errorf("one figure changed and %d bytes were written", n)
	}
}

func TestEventsFollowToAnotherNode(t *testing.T) {
	t.Parallel()
	term, f := startTerminal(t, tuitest.Healthy(), 100, 30)
	waitFor(t, term, "live from n1")
	term.Press("7")
	waitFor(t, term, "1 incident and 4 other events")
	f.Change(func(state *tuitest.ClusterState) {
		state.Status.From = "n2"
		state.Events = append(state.Events[:4:4], cluster.Event{Seq: 5, At: core.MillisOf(tuitest.Now), Level: cluster.Critical, About: "n1", Text: "n1 does not answer"})
	})
	waitFor(t, term, "live from n2", "n1 does not answer", "1 incident and 5 other events")
}

func TestResizeAndQuit(t *testing.T) {
	t.Parallel()
	term, _ := startTerminal(t, tuitest.Healthy(), 120, 40)
	waitFor(t, term, "live from n1")
	term.Resize(60, 15)
	waitFor(t, term, "need 80 x 24")
	term.Resize(0, 0)
	term.Resize(80, 24)
	waitFor(t, term, "RECENT")
	if got := term.Title(); got != "demo healthy - unibus" {
		t.Errorf("title %q", got)
	}
	term.Press("q")
	select {
	case <-term.Done():
	case <-time.After(waitTimeout):
		t.Error("q does not quit")
	}
}

func TestScreenshotIsSVG(t *testing.T) {
	t.Parallel()
	term, _ := startTerminal(t, tuitest.Healthy(), 100, 30)
	waitFor(t, term, "live from n1")
	term.Press("4")
	waitFor(t, term, "日本語の名前")
	var b bytes.Buffer
	if err := term.Cells().SVG(&b, tuitest.DarkColors()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []string{"<svg ", "bruno-00", "日", "</svg>"} {
		if !strings.Contains(b.String(), x) {
			t.Errorf("the image has no %q", x)
		}
	}
}

var _ tui.Client = (*tuitest.FakeClient)(nil)
