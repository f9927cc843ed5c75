package core

import "net/netip"

// privateRanges are those that netip does not name: shared by providers, for benchmarks, of local
// translators and tunnels, reserved.
func privateRanges() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
		"64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10", "::/96",
	} {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// IsPrivateAddress is true of an address that means something else, or something at all, only near this
// node: loopback, private, link-local and the like, also inside an IPv6 address.
func IsPrivateAddress(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return true
	}
	if b := ip.As16(); netip.MustParsePrefix("64:ff9b::/96").Contains(ip) { // a translator's: the IPv4 address is in it
		return IsPrivateAddress(netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, p := range privateRanges() {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
