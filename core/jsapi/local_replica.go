package jsapi

import "time"

// askAnyway is how often a stream's leader is asked although this node's own replica has
// nothing new: the replica may have stopped, and the stream may have been created anew.
const askAnyway = 5 * time.Second

// LocalReplica says when the leader of a stream has to be asked for what is new. It is used
// by one goroutine.
type LocalReplica struct {
	LastSeq func() (seq uint64, ok bool) // of this node's own replica; false: it has none; nil: likewise

	looked   uint64
	answered uint64
	at       time.Time // of the last answer; zero: there is none
}

// AskDue is false if this node's replica has nothing that it did not have when the leader
// answered last, which was a moment ago.
func (r *LocalReplica) AskDue() bool {
	if r.LastSeq == nil {
		return true
	}
	seq, ok := r.LastSeq()
	due := !ok || r.at.IsZero() || seq != r.answered || time.Since(r.at) >= askAnyway
	r.looked = seq
	return due
}

// Answered notes whether the leader answered the question after AskDue.
func (r *LocalReplica) Answered(ok bool) {
	r.answered, r.at = r.looked, time.Now()
	if !ok {
		r.at = time.Time{}
	}
}
