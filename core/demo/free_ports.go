package demo

import (
	"math/rand/v2"
	"net"
	"strconv"

	"unibus/core"
)

// The ports are below the range from which systems choose ports for outgoing
// connections (32768 on Linux), so that a stopped node finds its port free when it
// starts again.
const (
	lowPort, highPort = 11000, 32000
	portTries         = 2000
)

// freeAddresses finds n different free addresses on the loopback interface. It
// keeps all of them open until the last is found.
func freeAddresses(n int) ([]string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	var out []string
	for range portTries {
		if len(out) == n {
			return out, nil
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowPort+rand.IntN(highPort-lowPort)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		held = append(held, l)
		out = append(out, addr)
	}
	if len(out) == n {
		return out, nil
	}
	return nil, core.Errorf(core.KindFailed, "no %d free ports were found on 127.0.0.1 in %d tries", n, portTries).
		WithNext("see which programs listen there: ss -ltn")
}
