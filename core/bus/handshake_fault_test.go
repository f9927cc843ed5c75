package bus

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// TestSilenceOfAForwarder: one without its target accepts a connection and cuts it. No server
// has answered there.
func TestSilenceOfAForwarder(t *testing.T) {
	t.Parallel()
	for _, err := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, context.DeadlineExceeded} {
		if got := handshakeFault(&net.OpError{Op: "read", Err: err}); got != nil {
			t.Errorf("%v: %v", err, got)
		}
	}
	if handshakeFault(errors.New("tls: first record does not look like a TLS handshake")) == nil {
		t.Error("another program was taken for silence")
	}
}
