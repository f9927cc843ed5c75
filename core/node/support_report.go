package node

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/support"
)

// SupportReport is what this node says of itself for a support bundle: the listed fields alone,
// so that nothing else leaves the node.
func (v clusterView) SupportReport(context.Context) (json.RawMessage, error) {
	known := support.Known{Operators: operatorNames(v.n.operatorsInfo()), Nodes: slices.Clone(v.n.cfg.Nodes)}
	for _, node := range v.n.observer.View().Nodes {
		known.Nodes = append(known.Nodes, node.Name)
	}
	report, _, err := support.Filter("node.json", v.n.supportReport(), known)
	return report, err
}

func (n *Node) supportReport() support.Report {
	r := support.Report{
		Node: n.cfg.Name, Now: core.MillisOf(time.Now()), Process: n.processFigures(), Modules: linkedModules(),
		Streams: n.storedStreams(), Config: n.cfg.Values(), Log: n.logRing.report(),
	}
	if c := n.diskCompare.latest.Load(); c != nil {
		for _, d := range c.Disks {
			r.Disks = append(r.Disks, support.Disk{Path: d.Path, Free: d.Free, Total: d.Total})
		}
	}
	return r
}

func (n *Node) processFigures() support.Process {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p := support.Process{
		Version: n.cfg.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		Started: core.MillisOf(n.started), Goroutines: runtime.NumGoroutine(),
		Heap: m.HeapAlloc, HeapCount: m.HeapObjects, Taken: m.Sys, GCs: m.NumGC, Resident: residentBytes(),
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.OpenFiles = len(open)
	}
	return p
}

// residentBytes is what the kernel says; 0 where it does not.
func residentBytes() uint64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64) // 0 for what it cannot read
	return pages * uint64(os.Getpagesize())
}

// linkedModules are the libraries of this program by path.
func linkedModules() []support.Module {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var out []support.Module
	for _, m := range info.Deps {
		out = append(out, support.Module{Path: m.Path, Version: m.Version})
	}
	return out
}

// operatorNames are the names of operators that were ever known here.
func operatorNames(o *cluster.Operators) []string {
	var names []string
	for _, op := range slices.Concat(o.List, o.Leftover) {
		names = append(names, op.Name)
	}
	for _, op := range o.Removed {
		names = append(names, op.Name, op.By)
	}
	return names
}
