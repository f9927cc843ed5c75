package seal

import (
	"encoding/binary"

	"unibus/core"
)

// RequestKind says what a member asks the others for.
type RequestKind byte

// The kinds.
const (
	RequestKey   RequestKind = 1 // the key of the present epoch, which it cannot open
	RequestHeard RequestKind = 2 // heartbeats: the member is a new device and waits for others
)

// KeyRequest is that a member has asked the others of a room for something. The signature
// keeps a server from asking in its name, and the key that it names from being exchanged for
// an older one.
type KeyRequest struct {
	Room    core.RoomID
	User    core.UserID
	Time    core.Millis // by the user's clock
	Kind    RequestKind
	Epoch   core.Epoch // the newest record that the user has followed; 0 before the first one
	Record  Hash
	KEMTime core.Millis // of the user's newest KEM key, and its hash: the key is to be sealed to it
	KEMHash Hash
}

const labelKeyRequest = "key-request"

// KeyRequestSize is the length in bytes of a key request, without the name of its room.
const KeyRequestSize = 2 + 2 + 8 + 1 + 8 + hashSize + 8 + hashSize + idSize + signatureSize

// appendBody is the request without its signature.
func (q KeyRequest) appendBody(b []byte) []byte {
	b = append(appendTime(appendString(appendStart(b), string(q.Room)), q.Time), byte(q.Kind))
	b = append(binary.BigEndian.AppendUint64(b, uint64(q.Epoch)), q.Record[:]...)
	return append(append(appendTime(b, q.KEMTime), q.KEMHash[:]...), q.User...)
}

// hasForm is true where the fields fit each other.
func (q KeyRequest) hasForm() bool {
	return (q.Kind == RequestKey || q.Kind == RequestHeard) && q.Epoch <= core.MaxEpoch && (q.Epoch == 0) == (q.Record == Hash{})
}

// Sign signs a request as its user. KindInvalid if its fields do not fit each other, or the
// signer is another user.
func (q KeyRequest) Sign(by Signer) ([]byte, error) {
	user, err := signerID(by)
	if err != nil {
		return nil, err
	}
	if _, err := core.ParseRoomID(string(q.Room)); err != nil {
		return nil, err
	}
	if q.Time, q.KEMTime = max(q.Time, 0), max(q.KEMTime, 0); !q.hasForm() || q.User != user {
		return nil, errInvalid("a key request of %s in the room %s cannot be signed by %s: its fields do not fit each other", q.User.Short(), q.Room, user.Short())
	}
	body := q.appendBody(make([]byte, 0, KeyRequestSize+64))
	return appendSignature(body, by, labelKeyRequest, body)
}

// VerifyKeyRequest reads a request that came for a room as a user's. ErrFormat; ErrSignature
// if it is of another room or user, or not signed by that user. Whether the user is a member,
// the caller must check.
func VerifyKeyRequest(room core.RoomID, user core.UserID, b []byte) (KeyRequest, error) {
	r := reader{b: b}
	r.start()
	q := KeyRequest{Room: core.RoomID(r.name()), Time: r.time(), Kind: RequestKind(r.u8())}
	q.Epoch, q.Record = core.Epoch(r.u64()), r.hash()
	q.KEMTime, q.KEMHash, q.User = r.time(), r.hash(), r.user()
	sig := r.take(signatureSize)
	switch {
	case !r.done() || !q.hasForm():
		return KeyRequest{}, errFault(ErrFormat, "a key request of %s in the room %s cannot be read: %d bytes", user.Short(), room, len(b))
	case q.Room != room || q.User != user:
		return KeyRequest{}, errFault(ErrSignature, "a key request of %s in the room %s came as one of %s in the room %s", q.User.Short(), q.Room, user.Short(), room)
	case !verifySignature(user, sig, labelKeyRequest, b[:len(b)-signatureSize]):
		return KeyRequest{}, errFault(ErrSignature, "a key request in the room %s is not signed by %s", room, user.Short())
	}
	return q, nil
}
