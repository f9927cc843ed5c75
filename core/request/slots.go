package request

import "sync"

// slots bound the requests under way, of all callers and of each.
type slots struct {
	most, mostOfOne int

	mu       sync.Mutex
	taken    int
	byCaller map[string]int
}

func newSlots(most, mostOfOne int) *slots {
	return &slots{most: most, mostOfOne: mostOfOne, byCaller: map[string]int{}}
}

// enter takes a slot for a caller, unless all are taken or the caller has enough.
func (s *slots) enter(caller string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.most || s.byCaller[caller] >= s.mostOfOne {
		return false
	}
	s.taken++
	s.byCaller[caller]++
	return true
}

func (s *slots) leave(caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byCaller[caller]--; s.byCaller[caller] == 0 {
		delete(s.byCaller, caller)
	}
}
