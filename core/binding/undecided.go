package binding

import (
	"errors"
	"io"
	"syscall"
)

// Undecided says whether an error of connecting is that of a server which closed the
// connection in place of an answer to the credentials. A node does that while it cannot
// decide: it has no quorum, its control plane is moving, or another node has it.
func Undecided(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
