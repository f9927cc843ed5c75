package seal

import (
	"encoding/binary"
	"encoding/hex"

	"unibus/core"
)

// Sizes in bytes.
const (
	headerSize   = 2 + 8 + hashSize + sessionSize + 8 + 8
	sessionSize  = 16
	tagSize      = 16
	Overhead     = headerSize + tagSize + signatureSize // of a message over its text
	MaxPlaintext = 1<<20 - 1<<10                        // leaves room in a NATS message for Overhead and headers
	maxCounter   = 1 << 32                              // messages of one session
)

// Session is one run of one sender: 16 random bytes.
type Session [sessionSize]byte

// String is the session in hex.
func (s Session) String() string { return hex.EncodeToString(s[:]) }

// header precedes the ciphertext.
type header struct {
	epoch   core.Epoch
	record  Hash
	session Session
	counter uint64
	time    core.Millis
}

func (h header) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(appendStart(b), uint64(h.epoch))
	b = append(append(b, h.record[:]...), h.session[:]...)
	return appendTime(binary.BigEndian.AppendUint64(b, h.counter), h.time)
}

// nonce is that of AES-256-GCM: no two messages under one key have the same counter.
func (h header) nonce() []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), h.counter)
}

// message is a parsed message.
type message struct {
	header
	raw, sealed, sig []byte
}

func parseMessage(b []byte) (m message, ok bool) {
	if len(b) < Overhead || len(b) > MaxPlaintext+Overhead {
		return message{}, false
	}
	r := reader{b: b[:headerSize]}
	r.start()
	m.epoch, m.record = core.Epoch(r.u64()), r.hash()
	copy(m.session[:], r.take(sessionSize))
	m.counter, m.time = r.u64(), r.time()
	m.raw, m.sealed, m.sig = b[:headerSize], b[headerSize:len(b)-signatureSize], b[len(b)-signatureSize:]
	return m, r.done() && m.counter < maxCounter
}

// messageBinding is the bytes that a message is bound to and does not contain.
func messageBinding(room core.RoomID, sender core.UserID) []byte {
	return append(appendString(make([]byte, 0, 2+64+idSize), string(room)), sender...)
}

// associatedData is the associated data: bound ‖ header behind a label.
func associatedData(bound, header []byte) []byte { return signedBytes("header", bound, header) }

const labelMessage = "message"

// Message is an opened message.
type Message struct {
	Text    []byte
	Sender  core.UserID
	Epoch   core.Epoch
	Session Session
	Counter uint64      // from 0 in each session
	Time    core.Millis // by the sender's clock
	// First is set for the first message of its session here: nothing is known of those before it.
	First bool
	// Missing is the number of messages between the highest one so far and this one.
	Missing uint64
	// Reordered is set if a later message of the session came before.
	Reordered bool
}
