package request

import "testing"

// TestOneCallerKeepsNobodyOut: there is a bound for each caller below that for all.
func TestOneCallerKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSlots(20, 16)
	for i := range 17 {
		if got, want := s.enter("greedy"), i < 16; got != want {
			t.Fatalf("request %d: %v, want %v", i+1, got, want)
		}
	}
	if !s.enter("other") {
		t.Error("one caller keeps another out")
	}
	s.leave("greedy")
	if !s.enter("greedy") {
		t.Error("a request that has ended still counts")
	}
	for range 10 {
		s.enter("other")
	}
	if s.enter("third") {
		t.Error("there are more requests under way than there may be")
	}
}
