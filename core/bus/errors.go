package bus

import (
	"errors"
	"io/fs"
	"net"
	"os"

	"github.com/nats-io/nats.go"

	"unibus/core"
)

// listenReason is the system's error about an address, without the address.
func listenReason(err error) string {
	var sys *os.SyscallError
	var dns *net.DNSError
	switch {
	case errors.As(err, &sys):
		return sys.Err.Error()
	case errors.As(err, &dns):
		return "no such host"
	}
	return err.Error()
}

// fileReason is the system's error about a file, without the operation and the path.
func fileReason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// inProcessError makes an error of core out of one of nats.go.
func inProcessError(err error) error {
	if errors.Is(err, nats.ErrAuthorization) {
		return core.Errorf(core.KindRefused, "the bus does not know this internal identity: %w", err)
	}
	return core.Errorf(core.KindUnavailable, "the bus does not answer from inside the process: %w", err)
}
