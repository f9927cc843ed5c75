package core

import "net"

// IsLoopbackHost says whether a host, without a port, can be reached from this machine alone.
func IsLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
