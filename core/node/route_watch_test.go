package node

import (
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
	w.note([]bus.RouteProbe{own, {Addr: "b:1", Node: "n2"}, {Addr: "c:1", Fault: core.FaultRefused}}, 1)
	w.note([]bus.RouteProbe{{Addr: "a:1", Fault: core.FaultTimeout}, {Addr: "b:1", Fault: core.FaultRefused, Detail: "x"}, {Addr: "c:1", Fault: core.FaultRefused}}, 2)
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
	w.note([]bus.RouteProbe{{Addr: "b:1", Node: "n2"}}, 1)
	if hears, routes := w.report(); len(routes) != 1 || !slices.Equal(hears, []string{"n2"}) {
		t.Errorf("hears %v, routes %+v", hears, routes)
	}
	w.see(view(false))
	if hears, routes := w.report(); len(routes) != 0 || hears == nil || len(hears) != 0 {
		t.Errorf("before the next try: hears %v, routes %+v", hears, routes)
	}
	w.note([]bus.RouteProbe{{Addr: "b:1", Node: "n2"}}, 2)
	if _, routes := w.report(); len(routes) != 1 {
		t.Errorf("after it: routes %+v", routes)
	}
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
