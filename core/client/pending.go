package client

import (
	"time"

	"unibus/core"
)

// pendingMessage is a message that waits for the key of its epoch, or until its
// sender's status is known.
type pendingMessage struct {
	sender core.UserID
	data   []byte
	at     time.Time
	reads  uint64 // of the room, when it came
}

// pendingMessages are in the order in which they came.
type pendingMessages struct {
	list     []pendingMessage
	bytes    int
	bySender map[core.UserID]int
}

// Bounds of pendingMessages.
const (
	maxPending      = 16_384
	maxPendingBytes = 8 << 20
)

func (p *pendingMessages) add(m pendingMessage) {
	if p.bySender == nil {
		p.bySender = map[core.UserID]int{}
	}
	p.list = append(p.list, m)
	p.bytes += len(m.data)
	p.bySender[m.sender]++
}

// dropOldest removes the oldest message, if there are more than the bounds allow.
func (p *pendingMessages) dropOldest() bool {
	if len(p.list) <= maxPending && p.bytes <= maxPendingBytes {
		return false
	}
	old := p.list[0]
	p.list[0] = pendingMessage{}
	p.list = p.list[1:]
	p.bytes -= len(old.data)
	if p.bySender[old.sender]--; p.bySender[old.sender] == 0 {
		delete(p.bySender, old.sender)
	}
	return true
}

// addPending keeps a message for later. Beyond the bounds the oldest ones are lost.
func (l *roomLoop) addPending(m pendingMessage) {
	l.pending.add(m)
	for l.pending.dropOldest() {
		l.deliver(delivery{err: &SlowError{l.room.id, 1}, msg: Message{Room: l.room.id}})
	}
	l.room.wake()
}

// drain processes the pending messages in order. A message that has to wait on
// keeps all later ones of its sender waiting.
func (l *roomLoop) drain() (pending int) {
	before := l.pending.list
	l.pending = pendingMessages{}
	for _, m := range before {
		if l.pending.bySender[m.sender] > 0 || !l.process(m, true) {
			l.pending.add(m)
		}
	}
	return len(l.pending.list)
}
