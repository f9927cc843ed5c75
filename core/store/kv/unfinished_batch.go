package kv

import "github.com/nats-io/nats.go"

// decodedMessage is a message of a watch with its record.
type decodedMessage struct {
	entry
	record record
	header nats.Header
}

// unfinishedBatch are messages of an atomic batch of which the last has not come yet. The
// stream has all of them, one after the other, and a watch delivers them one at a time. A
// reader who saw some of them could decide on what never was: a room's first row after a
// change, say, and its other row before it.
type unfinishedBatch struct {
	id       string
	messages []decodedMessage
}

// seq is the sequence of the newest message that is here; 0: there is none.
func (b *unfinishedBatch) seq() uint64 {
	if len(b.messages) == 0 {
		return 0
	}
	return b.messages[len(b.messages)-1].rev
}

// take applies a message, or keeps it until its batch is whole. Messages of a batch are
// neighbors in the stream, so one of another batch ends it too. Then a later message had
// the last key, and that of the batch is lost. The caller holds owner.mu.
func (n *watch) take(d decodedMessage) {
	id := d.header.Get(hdrBatchID)
	if id != n.batch.id {
		n.applyBatch()
	}
	if id == "" || len(n.filters) > 0 { // a watch with filters keeps no rows, and does not hear each message
		n.owner.apply(n, d)
		return
	}
	n.batch.id, n.batch.messages = id, append(n.batch.messages, d)
	if d.header.Get(hdrBatchCommit) != "" {
		n.applyBatch()
	}
}

// applyBatch applies what is kept. The caller holds owner.mu.
func (n *watch) applyBatch() {
	for _, d := range n.batch.messages {
		n.owner.apply(n, d)
	}
	n.batch = unfinishedBatch{}
}
