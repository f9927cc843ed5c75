package bus

import (
	"errors"
	"maps"
	"sync"

	"unibus/core/auth"
)

// AdmissionCounts are connections since the node's start, those from inside the process left out.
type AdmissionCounts struct {
	Admitted map[auth.IdentityKind]uint64
	Denied   map[auth.Reason]uint64
}

type admissionCounter struct {
	mu     sync.Mutex
	counts AdmissionCounts
}

// newAdmissionCounter begins every count at 0: monitoring cannot see a rise of a series that did
// not exist.
func newAdmissionCounter() *admissionCounter {
	c := AdmissionCounts{
		Admitted: map[auth.IdentityKind]uint64{auth.KindOperator: 0, auth.KindUser: 0, auth.KindAnonymous: 0},
		Denied:   map[auth.Reason]uint64{},
	}
	for _, r := range auth.Reasons() {
		c.Denied[r] = 0
	}
	return &admissionCounter{counts: c}
}

func (c *admissionCounter) admitted(kind auth.IdentityKind) {
	if kind == auth.KindInternal {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Admitted[kind]++
}

func (c *admissionCounter) denied(err error) {
	reason := auth.ReasonOf(err)
	if errors.Is(err, errTooManyConnections) {
		reason = auth.ReasonLimit
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Denied[reason]++
}

// Admissions are the connections that were admitted and denied since the start.
func (s *Server) Admissions() AdmissionCounts {
	c := s.auth.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	return AdmissionCounts{Admitted: maps.Clone(c.counts.Admitted), Denied: maps.Clone(c.counts.Denied)}
}
