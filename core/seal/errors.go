package seal

import "unibus/core"

// Fault is the cause of every refusal of this package, inside a *core.Error for
// people: errors.Is(err, ErrBox).
type Fault string

// The faults, in the order of DESIGN.md section 8.
const (
	ErrFormat      Fault = "not readable"                   // version, suite, or a length is off
	ErrKey         Fault = "another KEM key"                // not signed by its user, or the box is for another key
	ErrBox         Fault = "another box"                    // not what its maker or inviter sealed for this member here
	ErrCommitment  Fault = "another room key"               // the box opens, and holds a key that its record does not name
	ErrRecord      Fault = "another record"                 // not what its maker signed, or of another place
	ErrChain       Fault = "not the record's predecessor"   // the hash of the record before is another
	ErrLink        Fault = "made without the room's key"    // the maker did not know the key of the epoch before
	ErrGap         Fault = "a record is missing"            // fetch the records between
	ErrRollback    Fault = "older than what is known"       // an earlier epoch, key, or state
	ErrFork        Fault = "two histories were shown"       // of records, or of members
	ErrSignature   Fault = "not signed by its sender"       // a message was altered, or is not its sender's
	ErrCiphertext  Fault = "signed, and does not decrypt"   // the sender sealed it under another key
	ErrReplay      Fault = "seen before"                    // a message came again
	ErrTooOld      Fault = "too old to tell from a repeat"  // below the window, or of a closed session
	ErrFutureEpoch Fault = "of an epoch that is not known"  // fetch the records, then try again
	ErrOldEpoch    Fault = "of an epoch that is over"       // its grace has ended
	ErrLimit       Fault = "beyond a limit of the protocol" // too long, or too many

	ErrStatement Fault = "another statement"  // about members: not what its signer signed, or of another room
	ErrRight     Fault = "its signer may not" // a statement or record of a user whom the members did not let do it
)

// Error is the fault in a few words.
func (f Fault) Error() string { return string(f) }

// kind tells the caller whether to fetch records, to update, or to give up.
func (f Fault) kind() core.Kind {
	switch f {
	case ErrFormat:
		return core.KindInvalid
	case ErrFutureEpoch, ErrGap:
		return core.KindConflict
	default:
		return core.KindRefused
	}
}

func (f Fault) nextStep() string {
	switch f {
	case ErrFormat:
		return "see whether it was made by a newer version; otherwise it is damaged"
	case ErrKey:
		return "have its user publish the key again from its own device; if that does not help, suspect the server"
	case ErrBox, ErrRecord, ErrChain, ErrRollback:
		return "ask another node; if it says the same, suspect the servers, and compare epoch and record with another member"
	case ErrCommitment:
		return "have another member rekey the room, and ask the maker of this epoch what happened"
	case ErrLink:
		return "do not use this epoch unless you know its maker, who did not have the room's key"
	case ErrGap, ErrFutureEpoch:
		return "fetch the room's records and try again"
	case ErrFork:
		return "compare epoch and record with the other members, then rekey from the one that is right"
	case ErrStatement, ErrRight:
		return "nobody is given a key by it; ask another node, and if it says the same, suspect the servers"
	case ErrLimit:
		return "send less at once, or rekey the room"
	default:
		return "drop the message, nothing is lost by it; if this continues, ask the sender"
	}
}

// errFault makes an error with a fault as its cause.
func errFault(f Fault, format string, args ...any) error {
	e := core.Errorf(f.kind(), format, args...).WithNext("%s", f.nextStep())
	e.Err = f
	return e
}

// errInvalid is for a mistake of the calling program.
func errInvalid(format string, args ...any) error {
	return core.Errorf(core.KindInvalid, format, args...)
}
