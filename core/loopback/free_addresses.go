// Package loopback finds free addresses on the loopback interface, for programs
// that start several nodes on one machine: the demo and the tests. The caller
// listens on them later, and listens again after it stopped a node.
package loopback

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"unibus/core"
)

// The ports are below the range from which systems choose ports for outgoing
// connections (32768 on Linux), so that a stopped node finds its port free when it
// starts again.
const (
	lowPort, portCount = 11000, 21000
	portTries          = 2000
	blockPorts         = 100 // that a process claims together
)

// next is where this process looks for its next free port. The kernel's ports
// belong to the whole process, and so does this: an address that was given out
// once is not given out again while its node is stopped. Processes begin at random
// places, and skip each other's blocks.
//
//nolint:gochecknoglobals // see above
var next = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(portCount))
	return &n
}()

// portBlocks are the blocks of ports that are this process's until it ends. A claim is an
// abstract Unix socket, which the kernel removes with the process; where there are none,
// every block counts as claimed.
type portBlocks struct {
	mu    sync.Mutex
	known map[int]net.Listener // nil: another process's
}

//nolint:gochecknoglobals // as next
var blocks = portBlocks{known: map[int]net.Listener{}}

func (b *portBlocks) claim(block int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, known := b.known[block]; known {
		return l != nil
	}
	l, err := net.Listen("unix", "@unibus-ports-"+strconv.Itoa(block))
	if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
		return true
	}
	if err != nil {
		l = nil
	}
	b.known[block] = l
	return l != nil
}

// FreePorts finds n different free ports. Another program may take one before the
// caller listens on it.
func FreePorts(n int) ([]int, error) {
	var out []int
	for range portTries {
		if len(out) == n {
			return out, nil
		}
		port := int(lowPort + next.Add(1)%portCount)
		if !blocks.claim(port / blockPorts) {
			continue
		}
		if l, err := net.Listen("tcp", address(port)); err == nil {
			_ = l.Close()
			out = append(out, port)
		}
	}
	return nil, core.Errorf(core.KindFailed, "no %d free ports were found on 127.0.0.1 in %d tries", n, portTries).
		WithNext("see which programs listen there: ss -ltn")
}

// FreeAddresses finds n different free addresses, "127.0.0.1:PORT", as FreePorts does.
func FreeAddresses(n int) ([]string, error) {
	ports, err := FreePorts(n)
	var out []string
	for _, p := range ports {
		out = append(out, address(p))
	}
	return out, err
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
