package seal

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
)

// SafetyNumber is 60 digits that people compare by voice, on paper or side by side. Two
// people have the same number if neither sees a false identity of the other: DESIGN.md
// section 12.
type SafetyNumber string

const (
	safetyVersion   = 1
	safetyRounds    = 5200
	safetyDigits    = 60
	digitsOfGroup   = 5
	groupsOfPerson  = 6
	bytesOfGroup    = 5
	labelSafety     = "safety-number"
	labelRoomNumber = "room-number"
)

// SafetyNumberOf is the number of two people, the same whoever comes first. KindInvalid
// for ids that are none, and for twice the same one.
func SafetyNumberOf(a, b core.UserID) (SafetyNumber, error) {
	for _, id := range []core.UserID{a, b} {
		if parsed, err := core.ParseUserID(string(id)); err != nil || parsed != id {
			return "", errInvalid("%.60q is no user's public key", id)
		}
	}
	if a == b {
		return "", errInvalid("a safety number is of two people, and both are %s", a.Short())
	}
	halves := []string{halfOf(a), halfOf(b)}
	slices.Sort(halves)
	return SafetyNumber(halves[0] + halves[1]), nil
}

// halfOf is a person's half of every number. It depends on this person alone, so one
// half of a number checks one identity.
func halfOf(id core.UserID) string {
	b := append(label(labelSafety), safetyVersion)
	return digitsOf(append(b, id...), []byte(id), groupsOfPerson)
}

// RoomNumber is the safety number of a room after a statement about its members. Two
// members with the same number have followed the same history to there.
type RoomNumber struct {
	Seq    uint64       `json:"seq"` // of the statement
	Number SafetyNumber `json:"number"`
}

// Number is the room's safety number at the head of the chain.
func (m *Membership) Number() RoomNumber {
	return RoomNumber{m.head.Seq, roomNumber(m.room, m.founding, m.head)}
}

// NumberAt is the room's safety number after an earlier statement, for a comparison with
// a member who has not followed the newest ones. ErrGap where it is not here.
func (m *Membership) NumberAt(seq uint64) (RoomNumber, error) {
	if seq > m.head.Seq || seq < m.start {
		return RoomNumber{}, errFault(ErrGap, "statement %d of the room %s is not here, only %d to %d", seq, m.room, m.start, m.head.Seq)
	}
	return RoomNumber{seq, roomNumber(m.room, m.founding, MembershipHead{seq, m.log[seq-m.start].hash})}, nil
}

func roomNumber(room core.RoomID, founding Hash, head MembershipHead) SafetyNumber {
	b := appendString(append(label(labelRoomNumber), safetyVersion), string(room))
	b = append(b, founding[:]...)
	b = binary.BigEndian.AppendUint64(b, head.Seq)
	return SafetyNumber(digitsOf(append(b, head.Hash[:]...), head.Hash[:], 2*groupsOfPerson))
}

// digitsOf hashes many times, so that a false key whose digits look alike costs as much
// more, and returns groups of digits.
func digitsOf(first, again []byte, groups int) string {
	text := first
	var sum [sha512.Size]byte
	buf := make([]byte, 0, max(len(first), sha512.Size)+len(again))
	for range safetyRounds {
		sum = sha512.Sum512(append(append(buf[:0], text...), again...))
		text = sum[:]
	}
	var out strings.Builder
	for i := range groups {
		var group [8]byte
		copy(group[8-bytesOfGroup:], sum[i*bytesOfGroup:])
		fmt.Fprintf(&out, "%0*d", digitsOfGroup, binary.BigEndian.Uint64(group[:])%100_000)
	}
	return out.String()
}

// ParseSafetyNumber reads a number as people write it: 60 digits, with spaces or line
// breaks anywhere. KindInvalid.
func ParseSafetyNumber(text string) (SafetyNumber, error) {
	digits := strings.Join(strings.Fields(text), "")
	if len(digits) != safetyDigits || strings.Trim(digits, "0123456789") != "" {
		return "", errInvalid("a safety number has %d digits, in %d groups of %d", safetyDigits, safetyDigits/digitsOfGroup, digitsOfGroup)
	}
	return SafetyNumber(digits), nil
}

// String is the number in groups of five digits.
func (n SafetyNumber) String() string {
	var groups []string
	for group := range slices.Chunk([]byte(n), digitsOfGroup) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}
