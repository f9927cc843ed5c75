package seal

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"time"

	"unibus/core"
)

// Limits of an epoch.
const (
	MaxMembers  = 1 << 16            // boxes of one record
	MaxAge      = 7 * 24 * time.Hour // a rekey is due
	MaxMessages = 100_000            // a rekey is due
	maxAhead    = 24 * time.Hour     // a record from further in the future would never be due
)

const (
	labelRecord = "record"

	recordOfMembers = 2 // the version of records that commit to the members' chain
)

func recordVersion(ofMembers bool) byte {
	if ofMembers {
		return recordOfMembers
	}
	return version
}

// Reason says why a record was made.
type Reason byte

// The reasons.
const (
	ReasonFirst    Reason = 1 // the room's first key
	ReasonRemoved  Reason = 2 // a member left or was removed
	ReasonRevoked  Reason = 3 // a member was revoked as a user
	ReasonAge      Reason = 4 // MaxAge
	ReasonMessages Reason = 5 // MaxMessages
	ReasonAsked    Reason = 6 // an operator or a member asked
	ReasonOther    Reason = 7
)

// String is the reason in a few words.
func (r Reason) String() string {
	words := [...]string{"", "first key", "member removed", "user revoked", "age", "number of messages", "asked for", "other"}
	if int(r) >= len(words) || r == 0 {
		return fmt.Sprintf("reason %d", byte(r))
	}
	return words[r]
}

// Record is an epoch record whose signature holds.
type Record struct {
	Place
	Prev     string // rec of the epoch before; core.LegacyRec in a room's first record
	PrevHash Hash   // its hash; zero in the first
	Time     core.Millis
	Reason   Reason
	Maker    core.UserID
	Count    int  // boxes
	Hash     Hash // of the record itself

	// Members is the statement about the members after which the record was made; nil in
	// a record of version 1, which commits to none.
	Members *MembershipHead

	root, commit, tag Hash
	body              []byte // what tag covers
}

// First says that the record follows none.
func (r Record) First() bool { return r.Prev == core.LegacyRec }

// RekeyDue says whether the room needs another key by now, and why. messages is
// how many the caller knows of in this epoch, sent and read.
func (r Record) RekeyDue(now time.Time, messages uint64) (Reason, bool) {
	age := now.Sub(r.Time.Time())
	switch {
	case messages >= MaxMessages:
		return ReasonMessages, true
	case age >= MaxAge, age < -maxAhead:
		return ReasonAge, true
	}
	return 0, false
}

// appendBody is the record without its link and signature.
func (r Record) appendBody(b []byte) []byte {
	b = append(b, recordVersion(r.Members != nil), suite1)
	b = appendString(r.Place.appendTo(b), r.Prev)
	b = appendTime(append(b, r.PrevHash[:]...), r.Time)
	b = append(append(b, byte(r.Reason)), r.Maker...)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Count))
	b = append(append(b, r.root[:]...), r.commit[:]...)
	if r.Members == nil {
		return b
	}
	return append(binary.BigEndian.AppendUint64(b, r.Members.Seq), r.Members.Hash[:]...)
}

// parseRecord reads a record and does not verify its signature.
func parseRecord(b []byte) (Record, []byte, bool) {
	r := reader{b: b}
	ofMembers := len(b) > 0 && b[0] == recordOfMembers
	r.startAs(recordVersion(ofMembers))
	out := Record{Place: Place{core.RoomID(r.name()), core.Epoch(r.u64()), r.name()}}
	out.Prev, out.PrevHash = r.name(), r.hash()
	out.Time, out.Reason, out.Maker = r.time(), Reason(r.u8()), r.user()
	out.Count = int(r.u32())
	out.root, out.commit = r.hash(), r.hash()
	if ofMembers {
		out.Members = &MembershipHead{r.u64(), r.hash()}
	}
	out.body = b[:len(b)-len(r.b)]
	out.tag = r.hash()
	sig := r.take(signatureSize)
	first := !out.First() || out.PrevHash == Hash{} && out.tag == Hash{}
	sane := out.Rec != core.LegacyRec && out.Rec != out.Prev && out.Count >= 1 && out.Count <= MaxMembers &&
		out.Reason >= ReasonFirst && out.Reason <= ReasonOther
	out.Hash = hashOf("record-hash", b)
	return out, sig, r.done() && first && sane
}

// VerifyRecord reads a record of a store. It verifies the signature, and that the
// record belongs to its row. ErrFormat, ErrRecord. The Chain decides whether the
// record belongs to the room's history.
func VerifyRecord(row core.EpochRecord) (Record, error) {
	r, sig, ok := parseRecord(row.Record)
	at := Place{row.Room, row.Epoch, row.Rec}
	if !ok {
		return Record{}, errFault(ErrFormat, "the record of %s cannot be read: %d bytes", at, len(row.Record))
	}
	if r.Place != at || r.Prev != row.Prev && !r.First() { // epochs before the first record may have had recs, and no records
		return Record{}, errFault(ErrRecord, "the record given for %s, rec %.64s after %.64s, is that of %s, rec %s after %s",
			at, row.Rec, row.Prev, r.Place, r.Rec, r.Prev)
	}
	if !verifySignature(r.Maker, sig, labelRecord, r.body, r.tag[:]) {
		return Record{}, errFault(ErrRecord, "the record of %s is not signed by %s, its named maker", at, r.Maker.Short())
	}
	return r, nil
}

// follows checks that r is the next record after the one with this epoch, rec and hash.
func (r Record) follows(prev Head) error {
	if r.Prev != prev.Rec || r.PrevHash != prev.Hash || r.Epoch != prev.Epoch+1 {
		return errFault(ErrChain, "the record of %s, made by %s, follows another record than the one known of epoch %d", r.Place, r.Maker.Short(), prev.Epoch)
	}
	if prev.Members != nil && (r.Members == nil || r.Members.Seq < prev.Members.Seq) {
		return errFault(ErrRollback, "the record of %s, made by %s, names older members than the record before it, or none", r.Place, r.Maker.Short())
	}
	return nil
}

// linked checks that the maker knew the key of the epoch before.
func (r Record) linked(prev *EpochKey) error {
	want := prev.link(r.body)
	if !hmac.Equal(want[:], r.tag[:]) {
		return errFault(ErrLink, "the record of %s is signed by %s, and its maker did not know the key of the epoch before", r.Place, r.Maker.Short())
	}
	return nil
}
