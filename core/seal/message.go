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

// header is what stands before the ciphertext.
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

// message is a message taken apart.
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

// messageBinding is what a message is tied to without carrying it.
func messageBinding(room core.RoomID, sender core.UserID) []byte {
	return append(appendString(make([]byte, 0, 2+64+idSize), string(room)), sender...)
}

// associatedData is the associated data: bound ‖ header behind a label.
func associatedData(bound, header []byte) []byte { return signedBytes("header", bound, header) }

const labelMessage = "message"

// Message is a message that was opened.
type Message struct {
	Text    []byte
	Sender  core.UserID
	Epoch   core.Epoch
	Session Session
	Counter uint64      // from 0 in each session
	Time    core.Millis // as its sender's clock had it
	// First is the first message of its session that came: what was before it is not known.
	First bool
	// Missing is how many messages of the session before this one have not come, since the highest that has.
	Missing uint64
	// Reordered says that a later one of the session came before.
	Reordered bool
}
