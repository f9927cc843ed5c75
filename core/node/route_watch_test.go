package node

import (
	"context"
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

// TestRouteWatchDoesNotVouchForASilentNode: what was found before a node fell silent
// says nothing about why it did.
func TestRouteWatchDoesNotVouchForASilentNode(t *testing.T) {
	t.Parallel()
	w := newRouteWatch("n1", nil)
	view := func(heard bool) cluster.View {
		return cluster.View{Expected: 2, Nodes: []cluster.Node{{Name: "n1", Online: true}, {Name: "n2", Online: heard}}}
	}
	w.see(view(true))
	w.note([]bus.RouteProbe{{Addr: "b:1", Node: "n2"}}, 1, 0)
	if hears, routes := w.report(); len(routes) != 1 || !slices.Equal(hears, []string{"n2"}) {
		t.Errorf("hears %v, routes %+v", hears, routes)
	}
	w.see(view(false))
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
	w := newRouteWatch("n1", func(context.Context) []bus.RouteProbe {
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
	w.see(view(true))
	routes("while it is heard", 1)
	during = func() { w.see(view(false)) }
	routes("it falls silent meanwhile", 0)
	during = func() { w.see(view(true)); w.see(view(false)) }
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
