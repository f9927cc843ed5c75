package seal

import (
	"encoding/binary"
	"fmt"

	"unibus/core"
)

// StatementKind says what a statement changes in a room.
type StatementKind byte

// The kinds, as in the table of DESIGN.md section 11.1.
const (
	StatementFound      StatementKind = 1 // an encrypted room
	StatementFoundPlain StatementKind = 2 // a room that is not encrypted
	StatementInvite     StatementKind = 3
	StatementAccept     StatementKind = 4
	StatementDecline    StatementKind = 5
	StatementRole       StatementKind = 6
	StatementRemove     StatementKind = 7
	StatementLeave      StatementKind = 8
	StatementCheckpoint StatementKind = 9
)

const (
	labelStatement = "statement"
	maxSeq         = 1 << 62
)

// String is the kind in a few words.
func (k StatementKind) String() string {
	if !k.isKnown() {
		return fmt.Sprintf("kind %d", byte(k))
	}
	return [...]string{"", "founding", "founding of a plain room", "invitation", "acceptance", "refusal", "change of role", "removal", "departure", "checkpoint"}[k]
}

func (k StatementKind) isKnown() bool { return k >= StatementFound && k <= StatementCheckpoint }

func (k StatementKind) isFounding() bool { return k == StatementFound || k == StatementFoundPlain }

// isAboutSigner is true for the kinds of which the signer is the subject.
func (k StatementKind) isAboutSigner() bool {
	return k.isFounding() || k == StatementAccept || k == StatementDecline || k == StatementLeave || k == StatementCheckpoint
}

// Statement is a signed change of a room's members. Its signature holds; whether its
// signer may do so, only the Membership before it can tell.
type Statement struct {
	Room    core.RoomID
	Seq     uint64
	Prev    Hash // of the statement before; zero in the founding
	Time    core.Millis
	Epoch   core.Epoch // the newest that the signer knew of
	Record  Hash       // of that epoch; zero before the first one
	Kind    StatementKind
	Role    core.MemberRole // "" where the kind has none
	Ref     Hash            // of an invitation, a state or a snapshot; zero where the kind has none
	Subject core.UserID
	Signer  core.UserID
	Hash    Hash // of the statement itself

	raw []byte
}

// Bytes is the statement as it was signed.
func (s Statement) Bytes() []byte { return s.raw }

// String names the statement in sentences.
func (s Statement) String() string {
	what := fmt.Sprintf("statement %d of the room %s, the %s", s.Seq, s.Room, s.Kind)
	if !s.Kind.isAboutSigner() {
		what += " of " + s.Subject.Short()
	}
	return what + " by " + s.Signer.Short()
}

// roleNames are the roles in the order of their bytes; a statement without a role has 0.
func roleNames() [4]core.MemberRole {
	return [...]core.MemberRole{"", core.MemberMember, core.MemberAdmin, core.MemberOwner}
}

// noRole is the byte of what is no role. No reader accepts it.
const noRole = 0xFF

func roleByte(role core.MemberRole) byte {
	for i, name := range roleNames() {
		if name == role {
			return byte(i)
		}
	}
	return noRole
}

// role reads a role's byte.
func (r *reader) role() core.MemberRole {
	b, names := int(r.u8()), roleNames()
	if b >= len(names) {
		r.malformed = true
		return ""
	}
	return names[b]
}

// appendBody is the statement without its signature.
func (s Statement) appendBody(b []byte) []byte {
	b = appendString(appendStart(b), string(s.Room))
	b = append(binary.BigEndian.AppendUint64(b, s.Seq), s.Prev[:]...)
	b = binary.BigEndian.AppendUint64(appendTime(b, s.Time), uint64(s.Epoch))
	b = append(append(b, s.Record[:]...), byte(s.Kind), roleByte(s.Role))
	return append(append(append(b, s.Ref[:]...), s.Subject...), s.Signer...)
}

// parseStatement reads a statement and does not verify its signature. It keeps b.
func parseStatement(b []byte) (s Statement, sig []byte, ok bool) {
	r := reader{b: b}
	r.start()
	s.Room, s.Seq, s.Prev = core.RoomID(r.name()), r.u64(), r.hash()
	s.Time, s.Epoch, s.Record = r.time(), core.Epoch(r.u64()), r.hash()
	s.Kind, s.Role, s.Ref = StatementKind(r.u8()), r.role(), r.hash()
	s.Subject, s.Signer = r.user(), r.user()
	sig = r.take(signatureSize)
	s.raw, s.Hash = b, hashOf("statement-hash", b)
	return s, sig, r.done() && s.hasForm()
}

// hasForm is true where the fields are those of the statement's kind.
func (s Statement) hasForm() bool {
	zero := Hash{}
	switch {
	case !s.Kind.isKnown(), s.Seq > maxSeq, s.Epoch > core.MaxEpoch, (s.Epoch == 0) != (s.Record == zero):
		return false
	case s.Kind.isFounding() != (s.Seq == 0), s.Kind.isFounding() != (s.Prev == zero):
		return false
	case s.Kind.isFounding() && s.Epoch != 0, s.Kind.isAboutSigner() && s.Subject != s.Signer, s.Kind == StatementRemove && s.Subject == s.Signer:
		return false
	}
	return s.hasRole() && s.hasRef()
}

func (s Statement) hasRole() bool {
	switch s.Kind {
	case StatementFound, StatementFoundPlain:
		return s.Role == core.MemberOwner
	case StatementInvite, StatementAccept:
		return s.Role == core.MemberMember || s.Role == core.MemberAdmin
	case StatementRole:
		return s.Role != ""
	default:
		return s.Role == ""
	}
}

func (s Statement) hasRef() bool {
	switch s.Kind {
	case StatementFound, StatementFoundPlain:
		return true // zero, or a snapshot's
	case StatementAccept, StatementDecline, StatementCheckpoint:
		return s.Ref != Hash{}
	default:
		return s.Ref == Hash{}
	}
}

// VerifyStatement reads a statement of a room and verifies its signature. ErrFormat,
// ErrStatement. Membership decides whether it belongs to the room's history.
func VerifyStatement(room core.RoomID, b []byte) (Statement, error) {
	s, sig, err := readStatement(room, b)
	if err != nil {
		return Statement{}, err
	}
	if !verifySignature(s.Signer, sig, labelStatement, b[:len(b)-signatureSize]) {
		return Statement{}, errFault(ErrStatement, "%s is not signed by %s", s, s.Signer.Short())
	}
	return s, nil
}

// readStatement reads a statement of a room without verifying its signature.
func readStatement(room core.RoomID, b []byte) (Statement, []byte, error) {
	s, sig, ok := parseStatement(b)
	if !ok {
		return Statement{}, nil, errFault(ErrFormat, "a statement about the members of the room %s cannot be read: %d bytes", room, len(b))
	}
	if s.Room != room {
		return Statement{}, nil, errFault(ErrStatement, "%s came for the room %s", s, room)
	}
	return s, sig, nil
}

// sign signs a statement as its signer, and reads it again: an identity that signs
// for another user is found here.
func (s Statement) sign(by Signer) (Statement, error) {
	if !s.hasForm() || roleByte(s.Role) == noRole {
		return Statement{}, errInvalid("%s cannot be signed: its fields are not those of its kind", s)
	}
	body := s.appendBody(make([]byte, 0, 384))
	b, err := appendSignature(body, by, labelStatement, body)
	if err != nil {
		return Statement{}, err
	}
	return VerifyStatement(s.Room, b)
}
