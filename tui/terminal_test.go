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

const patience = 10 * time.Second

func start(t *testing.T, w tuitest.World, width, height int) (*tuitest.Term, *tuitest.Fake) {
	t.Helper()
	cfg, f := config(w)
	cfg.Now = func() time.Time { return tuitest.Now }
	term := tuitest.Start(cfg, width, height)
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Errorf("the console ended with %v", err)
		}
	})
	return term, f
}

func wait(t *testing.T, term *tuitest.Term, texts ...string) {
	t.Helper()
	for _, x := range texts {
		if err := term.WaitFor(x, patience); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOperatorMovesTheControlPlane(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		term, f := start(t, tuitest.Legacy(), size[0], size[1])
		wait(t, term, "live from n1", "sqlite on n1")
		term.Press("6")
		wait(t, term, "The control plane is in SQLite on n1 alone")
		term.Press("b")
		wait(t, term, "enter choose")
		term.Press("enter", "enter", "enter", "enter")
		wait(t, term, "The move has begun on n1.")
		f.Set(tuitest.Moving())
		wait(t, term, "moving", "24 100 /s")
		f.Set(tuitest.Verified())
		wait(t, term, "= equal")
		term.Press("X")
		wait(t, term, "enter choose")
		term.Press("demo", "enter", "enter")
		wait(t, term, "The cutover has begun.")
		f.Set(tuitest.Moved())
		wait(t, term, "The control plane is KV since generation 2")
		term.Press("U")
		wait(t, term, "enter choose")
		term.Press("demo", "enter", "enter")
		wait(t, term, "The rollback has begun.")
		f.Set(tuitest.RollingBack())
		wait(t, term, "all of it is written to a new SQLite file")
		f.Set(tuitest.RolledBack())
		wait(t, term, "● rolledback")
		calls(t, f, "migrate-start n1 /var/lib/unibus/unibus.db 3", "migrate-cutover n1", "migrate-rollback n1")
	}
}

// Not parallel: it measures. The median, because the machine is shared.
func TestKeyToScreenWhileEverythingHangs(t *testing.T) {
	term, f := start(t, tuitest.Healthy(), 100, 30)
	wait(t, term, "live from n1")
	f.Hang(true)
	var took []time.Duration
	for range 3 {
		for key, text := range map[string]string{"2": "LISTENS", "3": "REPLICAS", "6": "there is nothing to move"} {
			began := time.Now()
			term.Press(key)
			wait(t, term, text)
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	if d := took[len(took)/2]; d > 200*time.Millisecond {
		t.Errorf("a key took %s to the screen (all: %s)", d, took)
	}
	f.Hang(false)
}

func TestNothingChangedNothingWritten(t *testing.T) {
	t.Parallel()
	term, f := start(t, tuitest.Healthy(), 120, 40)
	wait(t, term, "live from n1", "RECENT")
	<-f.AfterPolls(2)
	before := term.Written()
	<-f.AfterPolls(3)
	if n := term.Written() - before; n != 0 {
		t.Errorf("%d bytes were written though nothing had changed", n)
	}
	f.Change(func(w *tuitest.World) {
		nodes := append([]cluster.Node(nil), w.Status.Nodes...)
		nodes[0].CPU = 7
		w.Status.Nodes = nodes
	})
	wait(t, term, "7 %")
	if n := term.Written() - before; n == 0 || n > 60 {
		t.Errorf("one figure changed and %d bytes were written", n)
	}
}

func TestEventsArriveAndFollowToAnotherNode(t *testing.T) {
	t.Parallel()
	term, f := start(t, tuitest.Healthy(), 100, 30)
	wait(t, term, "live from n1")
	term.Press("7")
	wait(t, term, "4 events")
	f.Change(func(w *tuitest.World) {
		w.Status.From = "n2"
		w.Events = append(w.Events[3:4:4], cluster.Event{Seq: 1, At: core.MillisOf(tuitest.Now), Level: cluster.Critical, About: "n1", Text: "n1 does not answer"})
	})
	wait(t, term, "live from n2", "n1 does not answer", "5 events")
}

func TestResizeAndQuit(t *testing.T) {
	t.Parallel()
	term, _ := start(t, tuitest.Healthy(), 120, 40)
	wait(t, term, "live from n1")
	term.Resize(60, 15)
	wait(t, term, "needs 80 x 24")
	term.Resize(0, 0)
	term.Resize(80, 24)
	wait(t, term, "RECENT")
	if got := term.Title(); got != "demo healthy - unibus" {
		t.Errorf("title %q", got)
	}
	term.Press("q")
	select {
	case <-term.Done():
	case <-time.After(patience):
		t.Error("q does not quit")
	}
}

func TestScreenshotIsSVG(t *testing.T) {
	t.Parallel()
	term, _ := start(t, tuitest.Healthy(), 100, 30)
	wait(t, term, "live from n1")
	term.Press("4")
	wait(t, term, "日本語の名前")
	var b bytes.Buffer
	if err := term.Cells().SVG(&b, tuitest.DarkPaper()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []string{"<svg ", "bruno-00", "日", "</svg>"} {
		if !strings.Contains(b.String(), x) {
			t.Errorf("the picture has no %q", x)
		}
	}
}

var _ tui.Client = (*tuitest.Fake)(nil)
