package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"unibus/core"
)

// The version and suite that are the first bytes of everything. Records have a second
// version: recordOfMembers.
const (
	version = 1
	suite1  = 1
)

// Sizes in bytes.
const (
	hashSize      = sha256.Size
	idSize        = 56 // a public nkey
	signatureSize = 64
)

// Hash is a SHA-256, in text as hex.
type Hash [hashSize]byte

// String is the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads hex. KindInvalid if it is not 64 digits.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(h) {
		return errInvalid("%.80q is not a hash: it must be %d hex digits", text, 2*len(h))
	}
	copy(h[:], raw)
	return nil
}

// label precedes all signed and hashed bytes. 0xFF keeps it apart from
// the nonces that a NATS client signs for any server: those are text.
func label(what string) []byte {
	return append(append(append(make([]byte, 0, 256), "\xffunibus.seal."...), what...), ".v1"...)
}

// appendString appends a text after its length.
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// hashOf is H(L(what) ‖ parts).
func hashOf(what string, parts ...[]byte) (out Hash) {
	h := sha256.New()
	h.Write(label(what))
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// Place is one epoch of one room, by the name of its record.
type Place struct {
	Room  core.RoomID
	Epoch core.Epoch
	Rec   string
}

func (p Place) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(appendString(b, string(p.Room)), uint64(p.Epoch))
	return appendString(b, p.Rec)
}

// check refuses invalid names of rooms and records.
func (p Place) check() error {
	if _, err := core.ParseRoomID(string(p.Room)); err != nil {
		return err
	}
	if !isRecordName(p.Rec) || p.Rec == core.LegacyRec {
		return errInvalid("%.80q is not the name of a record", p.Rec)
	}
	return nil
}

// isRecordName reports whether s can name a record. It is a part of keys, as a
// room's id is.
func isRecordName(s string) bool {
	_, err := core.ParseRoomID(s)
	return err == nil
}

// reader reads fields from the front. After the first error it returns zeros, and
// done reports it.
type reader struct {
	b         []byte
	malformed bool
}

func (r *reader) take(n int) []byte {
	if r.malformed || len(r.b) < n {
		r.malformed = true
		return make([]byte, n) // n is small: a fixed size, or at most a name's
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() byte    { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) hash() (h Hash) {
	copy(h[:], r.take(hashSize))
	return h
}

// name reads a room's or record's name.
func (r *reader) name() string {
	n := int(r.u16())
	if n > 64 {
		r.malformed = true
		return ""
	}
	s := string(r.take(n))
	if !isRecordName(s) {
		r.malformed = true
	}
	return s
}

// user reads an id, which must be in the one form that ids have here.
func (r *reader) user() core.UserID {
	s := string(r.take(idSize))
	u, err := core.ParseUserID(s)
	if err != nil || string(u) != s {
		r.malformed = true
	}
	return u
}

// start reads version and suite.
func (r *reader) start() { r.startAs(version) }

// startAs reads a version of its own and the suite.
func (r *reader) startAs(want byte) {
	if v, s := r.u8(), r.u8(); v != want || s != suite1 {
		r.malformed = true
	}
}

// time reads Unix milliseconds, which are not negative.
func (r *reader) time() core.Millis {
	t := r.u64()
	if t > 1<<62 {
		r.malformed = true
	}
	return core.Millis(t)
}

// done is true if everything was read and nothing failed.
func (r *reader) done() bool { return !r.malformed && len(r.b) == 0 }

// appendStart appends version and suite.
func appendStart(b []byte) []byte { return append(b, version, suite1) }

func appendTime(b []byte, t core.Millis) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t))
}
