package webhook

import (
	"fmt"
	"net/netip"
	"syscall"

	"unibus/core"
)

// refusePrivate checks the address that is about to be dialed, after names were resolved: another
// answer of the receiver's name server cannot get around it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address", address)
	}
	if core.IsPrivateAddress(at.Addr()) {
		return &privateError{at.Addr()}
	}
	return nil
}

// privateError is why an address is not dialed.
type privateError struct{ ip netip.Addr }

func (e *privateError) Error() string {
	return fmt.Sprintf("%s is an address of a private network or of this machine, which needs --webhook-allow-private", e.ip)
}
