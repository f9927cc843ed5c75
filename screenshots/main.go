// Command screenshots takes the screenshots of the documents. It runs the real
// console on a real cluster of three processes, through a whole migration, and
// writes PNGs into screenshots/. `make screenshots` runs it.
//
// It needs bin/unibusd (make build) and rsvg-convert with the font JetBrains
// Mono (Debian: librsvg2-bin, fonts-jetbrains-mono).
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"unibus/core/demo"
	"unibus/tui"
	"unibus/tui/tuitest"
)

const (
	width, height = 112, 32
	screenTimeout = time.Minute
	briefTimeout  = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "screenshots", "bin/unibusd"); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// run starts a demo and takes every screenshot.
func run(ctx context.Context, dir, unibusd string) (err error) {
	if _, err := exec.LookPath("rsvg-convert"); err != nil {
		return fmt.Errorf("rsvg-convert is missing; on Debian: apt-get install librsvg2-bin fonts-jetbrains-mono")
	}
	binary, err := filepath.Abs(unibusd)
	if err != nil {
		return err
	}
	cfg := demo.DefaultConfig()
	cfg.Binary, cfg.Environ = binary, os.Environ()
	d := demo.New(cfg)
	if err := d.Open(ctx); err != nil {
		return err
	}
	defer func() {
		if cerr := d.Close(); err == nil {
			err = cerr
		}
	}()
	for _, s := range []struct {
		theme  string
		colors tuitest.Colors
		shots  []screenshot
	}{
		{"dark", tuitest.DarkColors(), screenshots(d)},
		{"light", tuitest.LightColors(), []screenshot{{name: "overview-light", wait: "RECENT"}}},
	} {
		c := &screenshotTaker{dir: dir, colors: s.colors}
		if err := c.takeScreenshots(ctx, d, s.theme, s.shots); err != nil {
			return err
		}
	}
	return takeGallery(ctx, dir, d)
}

// screenshot is one picture: its steps, and what must be on the screen then.
type screenshot struct {
	name string // "" takes none
	do   func(ctx context.Context) error
	keys []string
	wait string

	isBrief bool // a state of milliseconds: where it is missed, the picture of before stays
}

func screenshots(d *demo.Demo) []screenshot {
	slow := &nodeThrottle{demo: d}
	stop := func(ctx context.Context) error { return d.Stop(ctx, "n3") }
	start := func(ctx context.Context) error { return d.Start(ctx, "n3") }
	return []screenshot{
		{name: "overview-sqlite", wait: "200 users"},
		{name: "migrate-before", keys: []string{"6"}, wait: "sealed keys"},
		{do: stop, wait: "degraded"},
		{keys: []string{"D"}, wait: "The dry run has started"},
		{name: "migrate-problems", keys: []string{"esc"}, wait: "start it; every node"},
		{do: start, wait: "healthy"},
		{name: "migrate-start", keys: []string{"b"}, wait: "enter choose"},
		{name: "migrate-copy", keys: []string{"tab", "500", "tab", "tab", "tab", "enter"}, wait: "checkpoint"}, // slow enough for a screenshot
		{name: "migrate-paused", keys: []string{"P"}, wait: "Paused in copy"},
		{name: "migrate-limit", keys: []string{"L"}, wait: "enter choose"},
		{keys: []string{"0", "enter", "enter"}, wait: "limit 5 000 /s"},
		{keys: []string{"A"}, wait: "enter choose"},
		{name: "migrate-aborted", keys: []string{"tab", "enter"}, wait: "Aborted by"},
		{keys: []string{"b"}, wait: "enter choose"},
		{name: "migrate-verified", keys: []string{"tab", "tab", "tab", "tab", "enter"}, wait: "X cutover"},
		{name: "migrate-cutover", keys: []string{"X"}, wait: "enter choose"},
		{name: "migrate-soak", keys: []string{"demo", "tab", "tab", "enter"}, wait: "F finish"},
		{name: "migrate-rollback", keys: []string{"U"}, wait: "enter choose"},
		{name: "migrate-rollingback", keys: []string{"demo", "tab", "tab", "enter"}, wait: "If it fails, KV serves again"},
		{name: "migrate-rolledback", wait: "b start"},
		{keys: []string{"b"}, wait: "enter choose"}, // and there again
		{name: "migrate-preflight", do: slow.start, keys: []string{"tab", "tab", "tab", "tab", "enter"}, wait: "◐ preflight", isBrief: true},
		{name: "migrate-backup", wait: "◐ backup", isBrief: true},
		{do: slow.stop, wait: "X cutover"},
		{keys: []string{"X"}, wait: "enter choose"},
		{name: "migrate-fence", do: slow.start, keys: []string{"demo", "tab", "tab", "enter"}, wait: "◐ fence", isBrief: true},
		{do: slow.stop, wait: "F finish"},
		{name: "overview", keys: []string{"1"}, wait: "Any one node may stop"},
		{name: "nodes", keys: []string{"2"}, wait: "LISTENS"},
		{name: "node", keys: []string{"enter"}, wait: "esc back"},
		{keys: []string{"esc"}, wait: "LISTENS"}, // alone: followed by a key it would be Alt
		{name: "buckets", keys: []string{"3"}, wait: "REPLICAS"},
		{name: "users", keys: []string{"4"}, wait: "ROLE"},
		{name: "rooms", keys: []string{"5"}, wait: "EPOCH"},
		{name: "room", keys: []string{"enter"}, wait: "could rekey"},
		{keys: []string{"esc"}, wait: "EPOCH"},
		{name: "events", keys: []string{"7"}, wait: "WHAT"},
		{name: "help", keys: []string{"?"}, wait: "Actions"},
		{keys: []string{"esc"}, wait: "WHAT"},
		{name: "rollout", keys: []string{"8"}, wait: "Enforce is active on every node"},
		{name: "audit", keys: []string{"9"}, wait: "migrate-cutover"},
		{keys: []string{"6"}, wait: "F finish"},
		{keys: []string{"F"}, wait: "enter choose"},
		{name: "migrate-done", keys: []string{"demo", "tab", "tab", "enter"}, wait: "● done"},
		{name: "degraded", do: stop, keys: []string{"1"}, wait: "n3 does not answer"},
		{do: start, wait: "Any one node may stop"},
	}
}

// screenshotTaker takes screenshots of one console.
type screenshotTaker struct {
	dir    string
	colors tuitest.Colors
}

func (c *screenshotTaker) takeScreenshots(ctx context.Context, d *demo.Demo, theme string, shots []screenshot) error {
	desc := d.Description()
	cl, err := demo.NewClient(desc, desc.Identities.Admin)
	if err != nil {
		return err
	}
	if err := cl.Open(ctx); err != nil {
		return err
	}
	defer cl.Close()
	term := tuitest.StartTerminal(tui.Config{Client: cl, Theme: theme, Flags: "--context demo"}, width, height)
	defer func() { _ = term.Close() }() // the screenshots are taken
	var films []capturedScreen
	for _, s := range shots {
		switch err := c.capture(ctx, term, s); {
		case err != nil && s.isBrief:
			fmt.Println(s.name + " was missed")
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if s.name != "" { // rendered later: the next screen may be there only for a moment
			films = append(films, capturedScreen{s.name, term.Cells()})
		}
	}
	for _, f := range films {
		if err := c.render(ctx, f); err != nil {
			return err
		}
	}
	if len(shots) < 2 {
		return nil
	}
	return c.writeFilm(term)
}

// writeFilm writes the whole session as an asciicast.
func (c *screenshotTaker) writeFilm(term *tuitest.Terminal) (err error) {
	out := filepath.Join(c.dir, "migration.cast")
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	fmt.Println(out)
	return term.Asciicast(f, "A control plane moves from SQLite to KV, and a node stops")
}

// capturedScreen is the content of a screen.
type capturedScreen struct {
	name  string
	cells tuitest.Grid
}

func (c *screenshotTaker) capture(ctx context.Context, term *tuitest.Terminal, s screenshot) error {
	if s.do != nil {
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	term.Press(s.keys...)
	timeout := screenTimeout
	if s.isBrief {
		timeout = briefTimeout
	}
	return term.Wait(fmt.Sprintf("%q", s.wait), timeout, func(screen string) bool {
		return strings.Contains(strings.Join(strings.Fields(screen), " "), s.wait)
	})
}

// render draws the screen as SVG and converts it to PNG.
func (c *screenshotTaker) render(ctx context.Context, f capturedScreen) error {
	var svg strings.Builder
	if err := f.cells.SVG(&svg, c.colors); err != nil {
		return err
	}
	out := filepath.Join(c.dir, f.name+".png")
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "rsvg-convert", "-z", "1.25", "-o", out)
	cmd.Stdin, cmd.Stderr = strings.NewReader(svg.String()), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("rsvg-convert: %w", err)
	}
	fmt.Println(out)
	return nil
}
