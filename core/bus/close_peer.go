package bus

import (
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// closePeer shuts down this process's TCP connections with a peer. nats-server has
// no call that closes a route. routeAuth sees whether the route has gone.
func closePeer(ip string, port int) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return
	}
	files, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err == nil && peerOf(fd) == netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(port)) {
			_ = syscall.Shutdown(fd, syscall.SHUT_RDWR) // it may have closed by itself
		}
	}
}

// peerOf returns the zero AddrPort where fd is no TCP connection.
func peerOf(fd int) netip.AddrPort {
	if kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || kind != syscall.SOCK_STREAM {
		return netip.AddrPort{}
	}
	sa, err := syscall.Getpeername(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
