package client

import (
	"context"
	"strings"
	"testing"

	"unibus/core"
)

// TestWaitingCallsNameTheCertificate: a call that waits for a session in vain says that the
// nodes' certificates are the reason, and what to do.
func TestWaitingCallsNameTheCertificate(t *testing.T) {
	t.Parallel()
	l := newSessionTracker()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	why := core.Errorf(core.KindRefused, "the certificate of the node n2 ended").WithNext("make a new one")
	l.setCertificateFault(func() *core.Error { return why })
	_, err := l.wait(over)
	want(t, "waiting", err, core.KindUnavailable, ErrOffline)
	if e := core.AsError(err); !strings.Contains(e.Text, why.Text) || e.Next != why.Next {
		t.Errorf("%+v", e)
	}
	l.setCertificateFault(func() *core.Error { return nil })
	if _, err := l.wait(over); strings.Contains(err.Error(), "certificate") {
		t.Errorf("without such a fault: %v", err)
	}
}
