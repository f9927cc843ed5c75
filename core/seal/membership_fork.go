package seal

import (
	"bytes"

	"unibus/core"
)

// ForkProof is two statements that follow the same one, as they were signed: the one
// that was followed, and the one that was shown later. It is the cause of an ErrFork.
type ForkProof struct {
	Room  core.RoomID `json:"room"`
	Known []byte      `json:"known"`
	Shown []byte      `json:"shown"`
}

// Error is the fault in a few words.
func (p *ForkProof) Error() string { return ErrFork.Error() }

// Unwrap makes a proof an ErrFork.
func (p *ForkProof) Unwrap() error { return ErrFork }

// Check says whether both are signed and follow the same statement. Whether both
// signers had the right to, the statements before can tell. KindInvalid.
func (p *ForkProof) Check() error {
	known, err := VerifyStatement(p.Room, p.Known)
	if err != nil {
		return err
	}
	shown, err := VerifyStatement(p.Room, p.Shown)
	if err != nil {
		return err
	}
	if known.Seq != shown.Seq || known.Prev != shown.Prev || bytes.Equal(p.Known, p.Shown) {
		return errInvalid("%s and %s are no fork: they do not follow the same statement, or are the same", known, shown)
	}
	return nil
}
