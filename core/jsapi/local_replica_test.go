package jsapi

import (
	"testing"
	"time"
)

// TestLocalReplica: the leader is asked where the node's own replica has something new, where
// there is none, after a question without an answer, and after a while in any case.
func TestLocalReplica(t *testing.T) {
	t.Parallel()
	seq, ok := uint64(7), true
	r := LocalReplica{LastSeq: func() (uint64, bool) { return seq, ok }}
	ask := func(what string, want bool) {
		t.Helper()
		if due := r.AskDue(); due != want {
			t.Errorf("%s: %v, want %v", what, due, want)
		}
	}
	ask("at first", true)
	r.Answered(true)
	ask("nothing is new", false)
	seq = 8
	ask("a message is new", true)
	r.Answered(false)
	ask("without an answer", true)
	r.Answered(true)
	ok = false
	ask("without a replica", true)
	ok = true
	ask("nothing is new again", false)
	seq = 3
	ask("the stream is another one", true)
	r.Answered(true)
	r.at = time.Now().Add(-askAnyway)
	ask("after a while", true)
	none := LocalReplica{}
	none.Answered(true)
	if !none.AskDue() {
		t.Error("a replica that is not known keeps the leader from being asked")
	}
}
