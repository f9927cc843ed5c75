package nodetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Net is a cluster of child processes, each in a network namespace with an address
// of its own. A test can cut nodes off from each other as a broken switch does:
// packets are lost silently and connections hang.
//
// The test's process is on the same bridge as the nodes and always reaches all of
// them. Routes use TLS, clients do not. Call its methods from the test's own
// goroutine. The package's TestMain must call RunIsolated.
type Net struct {
	*Processes
	hosts      []string
	namespaces []*namespace
}

// StartNet starts the nodes as children that end with the test, without waiting
// for them.
func StartNet(t testing.TB, binary string, cfg Config) *Net {
	t.Helper()
	n := PrepareNet(t, binary, cfg)
	n.StartAll()
	return n
}

// PrepareNet prepares everything and starts nothing.
func PrepareNet(t testing.TB, binary string, cfg Config) *Net {
	t.Helper()
	if err := requireIsolated(); err != nil {
		t.Fatal(err)
	}
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	n := &Net{}
	bridge, subnet := newBridge(t)
	for i := range cfg.Nodes {
		n.hosts = append(n.hosts, fmt.Sprintf("%s.%d", subnet, i+1))
		n.namespaces = append(n.namespaces, newNamespace(t))
		n.attachNode(t, i, bridge)
	}
	n.setReachable(t, func(int, int) bool { return true })
	cfg.Hosts = n.hosts
	n.Processes = PrepareProcesses(t, binary, cfg)
	n.startCommand = func(i int, cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return n.namespaces[i].do(cmd.Start)
	}
	return n
}

// maxBridges is the most clusters at one time.
const maxBridges = 250

// newBridge creates the bridge of one cluster and gives the test's process an
// address on it.
func newBridge(t testing.TB) (name, subnet string) {
	t.Helper()
	var err error
	for i := range maxBridges {
		name, subnet = fmt.Sprintf("ub%d", i), fmt.Sprintf("10.77.%d", i)
		if err = ip("link add name " + name + " type bridge"); err == nil {
			break
		}
	}
	if err == nil {
		t.Cleanup(func() { _ = ip("link del dev " + name) }) // it would go with the process anyway
		err = ip("address add "+subnet+".254/24 dev "+name, "link set dev "+name+" up")
	}
	if err != nil {
		t.Fatalf("a network for the test's nodes: %v", err)
	}
	return name, subnet
}

// attachNode connects node i to the bridge.
func (n *Net) attachNode(t testing.TB, i int, bridge string) {
	t.Helper()
	port := fmt.Sprintf("%sn%d", bridge, i+1)
	err := ip(fmt.Sprintf("link add name %s type veth peer name eth0 address %s netns %d", port, macAddress(i), n.namespaces[i].thread),
		"link set dev "+port+" master "+bridge+" up")
	if err == nil {
		t.Cleanup(func() { _ = ip("link del dev " + port) })
		err = n.namespaces[i].ip("link set dev lo up", "address add "+n.hosts[i]+"/24 dev eth0", "link set dev eth0 up")
	}
	if err != nil {
		t.Fatalf("a network for node %d: %v", i+1, err)
	}
}

// macAddress is the address of node i's network card; no card has that of noNode.
func macAddress(i int) string { return fmt.Sprintf("02:00:00:00:00:%02x", byte(i)) }

// noNode is the index of a card that does not exist: packets to it are lost.
const noNode = -1

// setReachable sets which nodes reach each other. For a node that must not be
// reached, the others get a MAC address that no card has.
func (n *Net) setReachable(t testing.TB, reaches func(from, to int) bool) {
	t.Helper()
	for from, ns := range n.namespaces {
		var commands []string
		for to, host := range n.hosts {
			if to == from {
				continue
			}
			card := macAddress(noNode)
			if reaches(from, to) {
				card = macAddress(to)
			}
			commands = append(commands, "neighbour replace "+host+" lladdr "+card+" dev eth0 nud permanent")
		}
		if len(commands) == 0 {
			continue // alone
		}
		if err := ns.ip(commands...); err != nil {
			t.Fatalf("who node %d reaches: %v", from+1, err)
		}
	}
}

// Partition divides the nodes into groups, whatever the network was before:
// between groups every packet is lost. A node in no group is alone.
func (n *Net) Partition(groups ...[]int) {
	n.t.Helper()
	n.setReachable(n.t, func(from, to int) bool {
		return slices.ContainsFunc(groups, func(g []int) bool { return slices.Contains(g, from) && slices.Contains(g, to) })
	})
}

// Isolate cuts one node off from all others, which stay connected.
func (n *Net) Isolate(i int) {
	n.t.Helper()
	n.setReachable(n.t, func(from, to int) bool { return from != i && to != i })
}

// Cut cuts the path between two nodes, whatever the network was before. Both still
// reach all others.
func (n *Net) Cut(a, b int) {
	n.t.Helper()
	n.setReachable(n.t, func(from, to int) bool { return !(from == a && to == b || from == b && to == a) })
}

// DropOutgoing loses the packets from one node to the others; theirs still arrive.
func (n *Net) DropOutgoing(i int) {
	n.t.Helper()
	n.setReachable(n.t, func(from, _ int) bool { return from != i })
}

// Heal makes every node reach every other.
func (n *Net) Heal() {
	n.t.Helper()
	n.setReachable(n.t, func(int, int) bool { return true })
}

// Pause stops the process of node i (SIGSTOP) and returns once it is stopped.
func (n *Net) Pause(i int) {
	n.t.Helper()
	n.Signal(i, syscall.SIGSTOP)
	Wait(n.t, 10*time.Second, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID(i)))
		if err != nil {
			return err
		}
		_, state, _ := strings.Cut(string(stat), ") ")
		if !strings.HasPrefix(state, "T") {
			return errors.New("the process still runs")
		}
		return nil
	})
}

// Resume continues the process of node i (SIGCONT).
func (n *Net) Resume(i int) {
	n.t.Helper()
	n.Signal(i, syscall.SIGCONT)
}
