package loopback

import (
	"net"
	"net/netip"
	"testing"
)

// TestFreeAddressesAreGivenOnce: a test that stopped its node gets the address
// back, although other tests ask for addresses meanwhile, and although the system
// chooses ports for outgoing connections.
func TestFreeAddressesAreGivenOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 40 {
		addrs, err := FreeAddresses(7)
		if err != nil || len(addrs) != 7 {
			t.Fatal(addrs, err)
		}
		for _, a := range addrs {
			if seen[a] {
				t.Errorf("%s was given out twice", a)
			}
			seen[a] = true
			if p := netip.MustParseAddrPort(a); !p.Addr().IsLoopback() || p.Port() < lowPort || p.Port() >= 32768 {
				t.Errorf("%s is in the range of outgoing connections, or not of the loopback interface", a)
			}
		}
	}
}

func TestFreePortsSkipsATakenPort(t *testing.T) {
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address(ports[0]))
	if err != nil {
		t.Skip("another program took the port: ", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	next.Store(uint32(ports[0] - lowPort - 1)) //nolint:gosec // a port
	again, err := FreePorts(1)
	if err != nil || again[0] == ports[0] {
		t.Errorf("port %d is taken, and was given out: %v, %v", ports[0], again, err)
	}
}

// TestProcessesSkipEachOthersBlocks: two processes that look for ports at the same place get
// different ones, also while neither listens.
func TestProcessesSkipEachOthersBlocks(t *testing.T) {
	t.Parallel()
	one, other := portBlocks{known: map[int]net.Listener{}}, portBlocks{known: map[int]net.Listener{}}
	const block = 9_999 // no port's
	for range 2 {
		if !one.claim(block) {
			t.Fatal("a free block cannot be claimed")
		}
		if other.claim(block) {
			t.Error("two have the same block")
		}
	}
	if err := one.known[block].Close(); err != nil {
		t.Fatal(err)
	}
	third := portBlocks{known: map[int]net.Listener{}}
	if !third.claim(block) {
		t.Error("the block of a process that has ended cannot be claimed")
	}
	_ = third.known[block].Close()
}
