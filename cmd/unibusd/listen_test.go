package main

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestNothingElseListens: a node has the sockets that its flags name, and with
// UNIBUS_NATS_DEBUG one more, which other machines do not reach. Three nodes after
// a move are looked at in TestCutoverSwapsEveryNode.
func TestNothingElseListens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  nodetest.Config
		more []string
	}{
		"alone":           {nodetest.Config{Nodes: 1}, nil},
		"alone, debug":    {nodetest.Config{Nodes: 1, Env: []string{"UNIBUS_NATS_DEBUG=1"}}, []string{"127.0.0.1"}},
		"together, debug": {nodetest.Config{Nodes: 2, Env: []string{"UNIBUS_NATS_DEBUG=1"}}, []string{"127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Seed = core.Snapshot{Users: []core.User{user(nodetest.Identity(t))}}
			p := nodetest.StartProcesses(t, program(t, "unibusd"), c.cfg)
			waitServing(t, p, 0, core.BackendSQLite)
			listens(t, p, 0, c.more...)
		})
	}
}

// listens fails the test where node i listens anywhere but where its flags say,
// and on one port of each of the addresses beside them.
func listens(t *testing.T, p *nodetest.Processes, i int, beside ...string) {
	t.Helper()
	want := []string{p.Configs[i].Listen}
	if routes := p.Configs[i].ClusterListen; routes != "" {
		want = append(want, routes)
	}
	var other []string
	found := sockets(t, p.PID(i))
	for _, addr := range found {
		if !slices.Contains(want, addr.String()) {
			other = append(other, addr.Addr().String())
		}
	}
	if len(found) != len(want)+len(beside) || !slices.Equal(other, beside) {
		t.Errorf("%s listens on %v; expected are %v and one port of each of %v", p.Configs[i].Name, found, want, beside)
	}
}

// sockets are where a process listens, by TCP and UDP.
func sockets(t *testing.T, pid int) []netip.AddrPort {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", pid)
	files, err := filepath.Glob(proc + "/fd/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("the files of process %d: %d, %v", pid, len(files), err)
	}
	own := map[string]bool{}
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil { // some close meanwhile
			own[to] = true
		}
	}
	var out []netip.AddrPort
	for kind, waiting := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		table, err := os.ReadFile(proc + "/net/" + kind)
		if err != nil && !(os.IsNotExist(err) && strings.HasSuffix(kind, "6")) { // a machine without IPv6
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // number, here, there, state, …; the tenth is the inode
			if len(f) > 9 && f[3] == waiting && own["socket:["+f[9]+"]"] {
				out = append(out, address(t, f[1]))
			}
		}
	}
	return out
}

// address reads the kernel's form: words of four bytes, each turned round, and the port.
func address(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	var ip []byte
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
		ip = append(ip, word...)
	}
	addr, ok := netip.AddrFromSlice(ip)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		t.Fatalf("%q is no address", text)
	}
	return netip.AddrPortFrom(addr, uint16(n))
}
