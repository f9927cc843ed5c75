package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"

	"unibus/core"
)

// RoomKeySize is the length of a room's key in bytes.
const RoomKeySize = 32

// RoomKey is the secret that the members of a room share for one epoch. It does not print.
type RoomKey struct{ b [RoomKeySize]byte }

// NewRoomKey makes a random key.
func NewRoomKey() (k RoomKey) {
	_, _ = rand.Read(k.b[:]) // crypto/rand never fails: it ends the program instead
	return k
}

// Format keeps the key out of logs, for every verb.
func (RoomKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("room key")) }

// NewRec creates a name for a record. It is chosen before anything is sealed,
// because every box binds it.
func NewRec() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// String names the place in sentences.
func (p Place) String() string { return fmt.Sprintf("the room %s, epoch %d", p.Room, p.Epoch) }

// EpochKey is a room's key that its record names. It sends and receives in one
// epoch, and comes from OpenBox, MakeRecord or NewEpochKey.
type EpochKey struct {
	record Record
	key    RoomKey
	prk    []byte
}

// NewEpochKey joins a verified record with a key that the caller kept.
// ErrCommitment if they do not belong together.
func NewEpochKey(r Record, k RoomKey) (*EpochKey, error) {
	e := &EpochKey{record: r, key: k, prk: extract(r.Place, k)}
	if subtle.ConstantTimeCompare(e.expand("commitment"), r.commit[:]) != 1 {
		return nil, errFault(ErrCommitment, "the key is not the one that the record of %s names; the record was made by %s", r.Place, r.Maker.Short())
	}
	return e, nil
}

// Record is the record that names the key.
func (e *EpochKey) Record() Record { return e.record }

// RoomKey is the key itself. It must be kept like a seed.
func (e *EpochKey) RoomKey() RoomKey { return e.key }

// extract is the secret from which all keys of an epoch are derived.
func extract(p Place, k RoomKey) []byte {
	salt := hashOf("room-key", p.appendTo(nil))
	prk, err := hkdf.Extract(sha256.New, k.b[:], salt[:])
	if err != nil {
		panic(fmt.Sprintf("seal: HKDF of %d bytes: %v", RoomKeySize, err)) // impossible for any input
	}
	return prk
}

// expand derives 32 bytes for one purpose.
func expand(prk []byte, what string, parts ...[]byte) []byte {
	out, err := hkdf.Expand(sha256.New, prk, string(signedBytes(what, parts...)), 32)
	if err != nil {
		panic(fmt.Sprintf("seal: HKDF to 32 bytes: %v", err)) // impossible for any input
	}
	return out
}

func (e *EpochKey) expand(what string, parts ...[]byte) []byte { return expand(e.prk, what, parts...) }

// link proves to the holders of this epoch's key that the maker of the next record
// had it too.
func (e *EpochKey) link(body []byte) (out Hash) {
	mac := hmac.New(sha256.New, e.expand("link"))
	mac.Write(label("link"))
	mac.Write(body)
	mac.Sum(out[:0])
	return out
}

// session is the cipher of one sender's session.
func (e *EpochKey) session(sender core.UserID, id Session) (cipher.AEAD, error) {
	block, err := aes.NewCipher(e.expand("message-key", []byte(sender), id[:]))
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "no cipher for a session of %s: %w", sender.Short(), err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "no cipher for a session of %s: %w", sender.Short(), err)
	}
	return aead, nil
}
