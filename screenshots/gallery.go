package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"

	"unibus/core/admin"
	"unibus/core/demo"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// view is a page or a fault: its steps, the key of the page, and what must be on the screen then.
type view struct {
	name string // "" takes no picture
	do   func(ctx context.Context) error
	key  string
	wait string
}

// views are every page, and five faults as the first screen shows them.
func views(d *demo.Demo, cl *admin.Client) []view {
	pids := map[string]int{}
	stop := func(names ...string) func(context.Context) error { return eachNode(names, d.Stop) }
	start := func(names ...string) func(context.Context) error { return eachNode(names, d.Start) }
	return []view{
		{name: "overview", key: "1", wait: "Any one node may stop"},
		{name: "nodes", key: "2", wait: "3 of 3 nodes answer."},
		{name: "buckets", key: "3", wait: "REPLICAS"},
		{name: "users", key: "4", wait: "ROLE"},
		{name: "rooms", key: "5", wait: "EPOCH"},
		{name: "migrate", key: "6", wait: "● done"},
		{name: "events", key: "7", wait: "WHAT"},
		{name: "rollout", key: "8", wait: "Enforce is active"},
		{name: "audit", key: "9", wait: "migrate-"},
		{name: "fault-node-stopped", do: stop("n3"), key: "1", wait: "n3 does not answer"},
		{name: "fault-majority-lost", do: stop("n2"), key: "1", wait: "needs 2 of 3 and has 1"},
		{name: "fault-on-another-page", key: "4", wait: "ROLE"},
		{do: start("n2", "n3"), key: "1", wait: "Any one node may stop"},
		{name: "fault-node-hung", do: signalNode(cl, pids, "n3", syscall.SIGSTOP), key: "1", wait: "its process hangs"},
		{do: signalNode(cl, pids, "n3", syscall.SIGCONT), key: "1", wait: "Any one node may stop"},
		{name: "fault-directory-removed", do: moveAway(d, "n3"), key: "1", wait: "removed or moved"},
		{do: moveBack(d, "n3"), key: "1", wait: "Any one node may stop"},
	}
}

func eachNode(names []string, do func(context.Context, string) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, n := range names {
			if err := do(ctx, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// signalNode signals the process that the node itself names: it is another one after each start.
func signalNode(cl *admin.Client, pids map[string]int, name string, sig syscall.Signal) func(context.Context) error {
	return func(ctx context.Context) error {
		if pids[name] == 0 { // a stopped process does not say who it is
			st, err := cl.Status(ctx)
			if err != nil {
				return err
			}
			for _, n := range st.Nodes {
				if n.Info != nil {
					pids[n.Name] = n.Info.PID
				}
			}
		}
		if pids[name] <= 0 { // 0 is this process and its group
			return fmt.Errorf("the process of %s is not known", name)
		}
		return syscall.Kill(pids[name], sig)
	}
}

// moveAway renames the data directory of a node that goes on.
func moveAway(d *demo.Demo, name string) func(context.Context) error {
	return renameDir(d, name, "", ".away")
}

func moveBack(d *demo.Demo, name string) func(context.Context) error {
	return renameDir(d, name, ".away", "")
}

func renameDir(d *demo.Demo, name, from, to string) func(context.Context) error {
	return func(context.Context) error {
		n, err := d.Description().Node(name)
		if err != nil {
			return err
		}
		return os.Rename(n.DataDir+from, n.DataDir+to)
	}
}

// galleryTerminal is a console in one theme and at one size.
type galleryTerminal struct {
	taker screenshotTaker
	dir   string
	term  *tuitest.Terminal
}

// takeGallery takes every view in both themes and at two sizes.
func takeGallery(ctx context.Context, dir string, d *demo.Demo) error {
	desc := d.Description()
	cl, err := demo.NewClient(desc, desc.Identities.Admin)
	if err != nil {
		return err
	}
	if err := cl.Open(ctx); err != nil {
		return err
	}
	defer cl.Close()
	var terms []galleryTerminal
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		terms = append(terms, newGalleryTerminal(dir, "dark", size, tuitest.DarkColors(), cl), newGalleryTerminal(dir, "light", size, tuitest.LightColors(), cl))
	}
	defer func() {
		for _, t := range terms {
			_ = t.term.Close() // the pictures are taken
		}
	}()
	for _, v := range views(d, cl) {
		if v.do != nil {
			if err := v.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
		for _, t := range terms {
			if err := t.take(ctx, v); err != nil {
				return fmt.Errorf("%s, %s: %w", v.name, t.dir, err)
			}
		}
	}
	return nil
}

func newGalleryTerminal(dir, theme string, size [2]int, colors tuitest.Colors, cl *admin.Client) galleryTerminal {
	cfg := tui.Config{Client: cl, Theme: theme, Flags: "--context demo"}
	return galleryTerminal{screenshotTaker{dir, colors}, fmt.Sprintf("%s-%dx%d", theme, size[0], size[1]), tuitest.StartTerminal(cfg, size[0], size[1])}
}

func (t galleryTerminal) take(ctx context.Context, v view) error {
	t.term.Press(v.key)
	err := t.term.Wait(fmt.Sprintf("%q", v.wait), screenTimeout, func(screen string) bool {
		return strings.Contains(strings.Join(strings.Fields(screen), " "), v.wait)
	})
	if err != nil || v.name == "" {
		return err
	}
	return t.taker.render(ctx, capturedScreen{t.dir + "/" + v.name, t.term.Cells()})
}
