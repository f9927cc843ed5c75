package seal

import (
	"encoding/binary"

	"unibus/core"
)

// Heartbeat is that a member has signed what it has followed of a room at a time. It
// shows the others that a server withholds nothing newer than that from them.
type Heartbeat struct {
	Room    core.RoomID
	User    core.UserID
	Time    core.Millis    // by the user's clock
	Members MembershipHead // the newest statement that the user has followed
	Epoch   core.Epoch     // the newest record that the user has followed; 0 before the first one
	Record  Hash
	KEMTime core.Millis // of the user's newest KEM key, and its hash
	KEMHash Hash
}

const labelHeartbeat = "heartbeat"

// HeartbeatSize is the length in bytes of a heartbeat, without the name of its room.
const HeartbeatSize = 2 + 2 + 8 + 8 + hashSize + 8 + hashSize + 8 + hashSize + idSize + signatureSize

// appendBody is the heartbeat without its signature.
func (h Heartbeat) appendBody(b []byte) []byte {
	b = appendTime(appendString(appendStart(b), string(h.Room)), h.Time)
	b = append(binary.BigEndian.AppendUint64(b, h.Members.Seq), h.Members.Hash[:]...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(h.Epoch)), h.Record[:]...)
	return append(append(appendTime(b, h.KEMTime), h.KEMHash[:]...), h.User...)
}

// hasForm is true where the fields fit each other.
func (h Heartbeat) hasForm() bool {
	return h.Members.Seq <= maxSeq && h.Epoch <= core.MaxEpoch && (h.Epoch == 0) == (h.Record == Hash{}) && h.Members.Hash != Hash{}
}

// Sign signs a heartbeat as its user. KindInvalid if its fields do not fit each other, or
// the signer is another user.
func (h Heartbeat) Sign(by Signer) ([]byte, error) {
	user, err := signerID(by)
	if err != nil {
		return nil, err
	}
	if _, err := core.ParseRoomID(string(h.Room)); err != nil {
		return nil, err
	}
	if h.Time, h.KEMTime = max(h.Time, 0), max(h.KEMTime, 0); !h.hasForm() || h.User != user {
		return nil, errInvalid("a heartbeat of %s in the room %s cannot be signed by %s: its fields do not fit each other", h.User.Short(), h.Room, user.Short())
	}
	body := h.appendBody(make([]byte, 0, HeartbeatSize+64))
	return appendSignature(body, by, labelHeartbeat, body)
}

// VerifyHeartbeat reads a heartbeat that came for a room as a user's. ErrFormat;
// ErrSignature if it is of another room or user, or not signed by that user. Whether the
// user is a member, and whether the heads are known, is the caller's to check.
func VerifyHeartbeat(room core.RoomID, user core.UserID, b []byte) (Heartbeat, error) {
	h, sig, ok := parseHeartbeat(b)
	switch {
	case !ok:
		return Heartbeat{}, errFault(ErrFormat, "a heartbeat of %s in the room %s cannot be read: %d bytes", user.Short(), room, len(b))
	case h.Room != room || h.User != user:
		return Heartbeat{}, errFault(ErrSignature, "a heartbeat of %s in the room %s came as one of %s in the room %s", h.User.Short(), h.Room, user.Short(), room)
	case !verifySignature(user, sig, labelHeartbeat, b[:len(b)-signatureSize]):
		return Heartbeat{}, errFault(ErrSignature, "a heartbeat in the room %s is not signed by %s", room, user.Short())
	}
	return h, nil
}

func parseHeartbeat(b []byte) (h Heartbeat, sig []byte, ok bool) {
	r := reader{b: b}
	r.start()
	h.Room, h.Time = core.RoomID(r.name()), r.time()
	h.Members.Seq, h.Members.Hash = r.u64(), r.hash()
	h.Epoch, h.Record = core.Epoch(r.u64()), r.hash()
	h.KEMTime, h.KEMHash = r.time(), r.hash()
	h.User = r.user()
	sig = r.take(signatureSize)
	return h, sig, r.done() && h.hasForm()
}

// ActiveCount is how many active members the room has.
func (m *Membership) ActiveCount() (n int) {
	for _, p := range m.people {
		if !p.Invited {
			n++
		}
	}
	return n
}
