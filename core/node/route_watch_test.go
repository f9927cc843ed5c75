package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/cluster"
)

// TestRouteWatchKeepsNames: a node that is down keeps its address, and the own address
// is no route.
func TestRouteWatchKeepsNames(t *testing.T) {
	t.Parallel()
	w := newRouteWatch("n1", nil)
	own := bus.RouteProbe{Addr: "a:1", Node: "n1", Fault: core.FaultRouteToItself}
	w.note([]bus.RouteProbe{own, {Addr: "b:1", Node: "n2"}, {Addr: "c:1", Fault: core.FaultRefused}}, 1, 0)
	w.note([]bus.RouteProbe{{Addr: "a:1", Fault: core.FaultTimeout}, {Addr: "b:1", Fault: core.FaultRefused, Detail: "x"}, {Addr: "c:1", Fault: core.FaultRefused}}, 2, 0)
	_, got := w.report()
	want := []cluster.Route{
		{Addr: "b:1", Node: "n2", Fault: core.FaultRefused, Detail: "x", Since: 2},
		{Addr: "c:1", Fault: core.FaultRefused, Since: 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestRouteWatchDoesNotVouchForASilentNode: probes from before a node fell silent say
// nothing about the reason.
func TestRouteWatchDoesNotVouchForASilentNode(t *testing.T) {
	t.Parallel()
	w := newRouteWatch("n1", nil)
	view := func(heard bool) cluster.View {
		return cluster.View{Expected: 2, Nodes: []cluster.Node{{Name: "n1", Online: true}, {Name: "n2", Online: heard}}}
	}
	mustSee(t, w, view(true))
	w.note([]bus.RouteProbe{{Addr: "b:1", Node: "n2"}, {Addr: "c:1", Fault: core.FaultRefused}}, 1, 0)
	if hears, routes := w.report(); len(routes) != 2 || !slices.Equal(hears, []string{"n2"}) {
		t.Errorf("hears %v, routes %+v", hears, routes)
	}
	mustSee(t, w, view(false))
	if hears, routes := w.report(); len(routes) != 0 || hears == nil || len(hears) != 0 {
		t.Errorf("before the next try: hears %v, routes %+v", hears, routes)
	}
	w.note([]bus.RouteProbe{{Addr: "b:1", Node: "n2"}}, 2, 1)
	if _, routes := w.report(); len(routes) != 1 {
		t.Errorf("after it: routes %+v", routes)
	}
}

// TestRouteWatchSilenceDuringATry: a node that falls silent while its route is tried may
// have been found well just before. The next try says why it is silent.
func TestRouteWatchSilenceDuringATry(t *testing.T) {
	t.Parallel()
	view := func(heard bool) cluster.View {
		return cluster.View{Expected: 2, Nodes: []cluster.Node{{Name: "n1", Online: true}, {Name: "n2", Online: heard}}}
	}
	during := func() {}
	w := newRouteWatch("n1", func(context.Context, []string) []bus.RouteProbe {
		during()
		return []bus.RouteProbe{{Addr: "b:1", Node: "n2"}}
	})
	routes := func(what string, want int) {
		t.Helper()
		w.try(t.Context())
		if _, got := w.report(); len(got) != want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	mustSee(t, w, view(true))
	routes("while it is heard", 1)
	during = func() { mustSee(t, w, view(false)) }
	routes("it falls silent meanwhile", 0)
	during = func() { mustSee(t, w, view(true)); mustSee(t, w, view(false)) }
	routes("it comes back and falls silent again", 0)
	during = func() {}
	routes("after that", 1)
}

func TestUnitOfAProcess(t *testing.T) {
	t.Parallel()
	for cgroup, want := range map[string]string{
		"0::/system.slice/unibusd.service\n":                        "unibusd",
		"0::/system.slice/system-unibus.slice/unibus@n1.service\n":  "unibus@n1",
		"12:cpu:/x\n1:name=systemd:/system.slice/unibusd.service\n": "unibusd",
		"0::/user.slice/user-0.slice/session-1.scope\n":             "",
		"0::/\n":                        "",
		"0::/docker/0123456789abcdef\n": "",
		"":                              "",
	} {
		if got := unitOf(cgroup); got != want {
			t.Errorf("%q: got %q, want %q", cgroup, got, want)
		}
	}
}

// TestRouteWatchTriesLearnedAddresses: a silent node to which no configured route leads is tried
// at the address that it had by its own word, and only while it is silent.
func TestRouteWatchTriesLearnedAddresses(t *testing.T) {
	t.Parallel()
	var tried [][]string
	w := newRouteWatch("n1", func(_ context.Context, others []string) []bus.RouteProbe {
		tried = append(tried, others)
		out := []bus.RouteProbe{{Addr: "b:1", Node: "n2"}}
		for _, addr := range others {
			out = append(out, bus.RouteProbe{Addr: addr, Fault: core.FaultHung})
		}
		return out
	})
	w.learned.hosts = func() map[string]string { return map[string]string{"n2": "10.0.0.2", "n3": "10.0.0.3", "n4": "::1"} }
	view := func(heard bool, removed ...string) cluster.View {
		v := cluster.View{Expected: 4, Nodes: []cluster.Node{{Name: "n1", Online: true}}}
		for _, n := range []struct{ name, listen string }{{"n2", "0.0.0.0:6222"}, {"n3", "192.0.2.3:6222"}, {"n4", "[::]:6222"}, {"n5", ""}} {
			if !slices.Contains(removed, n.name) {
				v.Nodes = append(v.Nodes, cluster.Node{Name: n.name, Online: heard, Info: &cluster.Info{Name: n.name, ID: "run of " + n.name, RouteListen: n.listen}})
			}
		}
		return v
	}
	mustSee(t, w, view(true))
	w.try(t.Context())
	mustSee(t, w, view(false))
	w.try(t.Context())
	w.try(t.Context())
	want := []string{"192.0.2.3:6222", "[::1]:6222"} // a route leads to n2, and n5 is of an older release
	if len(tried) != 3 || len(tried[0]) != 0 || !slices.Equal(tried[1], want) || !slices.Equal(tried[2], want) {
		t.Errorf("tried %q", tried)
	}
	if _, routes := w.report(); len(routes) != 3 || routes[1].Node != "n3" || routes[1].Fault != core.FaultHung {
		t.Errorf("found %+v", routes)
	}
	mustSee(t, w, view(true))
	if _, routes := w.report(); len(routes) != 1 {
		t.Errorf("once they are heard: %+v", routes)
	}
	mustSee(t, w, view(false, "n3"))
	w.try(t.Context())
	if last := tried[len(tried)-1]; !slices.Equal(last, want[1:]) {
		t.Errorf("a node that was removed is tried: %q", last)
	}
}

func mustSee(t *testing.T, w *routeWatch, v cluster.View) {
	t.Helper()
	if err := w.see(v); err != nil {
		t.Fatal(err)
	}
}

// TestLearnedAddressesOutliveARestart: a node that is silent since before the start is tried where
// it was, also before its name is known again. A node that was removed is forgotten in the file.
func TestLearnedAddressesOutliveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), learnedAddressesFile)
	start := func() (*routeWatch, *[]string) {
		var tried []string
		w := newRouteWatch("n1", func(_ context.Context, others []string) []bus.RouteProbe { tried = others; return nil })
		w.learned.path = file
		if err := w.learned.load(); err != nil {
			t.Fatal(err)
		}
		return w, &tried
	}
	view := func(heard bool, names ...string) cluster.View {
		v := cluster.View{Expected: 3, Nodes: []cluster.Node{{Name: "n1", Online: true}}}
		for _, name := range names {
			v.Nodes = append(v.Nodes, cluster.Node{Name: name, Online: heard})
			if heard {
				v.Nodes[len(v.Nodes)-1].Info = &cluster.Info{Name: name, ID: "run of " + name, RouteListen: name + ".example:6222"}
			}
		}
		return v
	}
	w, _ := start()
	mustSee(t, w, view(true, "n2", "n3"))

	w, tried := start()
	mustSee(t, w, view(false))
	mustSee(t, w, view(false, "n2", "n3"))
	if w.try(t.Context()); !slices.Equal(*tried, []string{"n2.example:6222", "n3.example:6222"}) {
		t.Errorf("after a restart: %q", *tried)
	}
	mustSee(t, w, view(true, "n2", "n3"))
	mustSee(t, w, view(true, "n2"))
	w, tried = start()
	mustSee(t, w, view(false, "n2", "n3"))
	if w.try(t.Context()); !slices.Equal(*tried, []string{"n2.example:6222"}) {
		t.Errorf("after the removal of n3: %q", *tried)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w = newRouteWatch("n1", nil)
	if w.learned.path = file; w.learned.load() == nil {
		t.Error("a damaged file was read")
	}
}
