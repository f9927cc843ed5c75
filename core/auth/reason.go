package auth

import (
	"errors"

	"unibus/core"
)

// Reason is why a connection was not admitted, in one word: for counts.
type Reason string

// The reasons.
const (
	ReasonCredentials Reason = "credentials"        // malformed, or of another kind than nkeys
	ReasonNoIdentity  Reason = "no_identity"        // it presented none
	ReasonSignature   Reason = "wrong_signature"    // it does not hold the key that it presented
	ReasonUser        Reason = "unknown_or_revoked" // no such user, or revoked
	ReasonExpired     Reason = "expired"            // the user or the operator's key has ended
	ReasonRemoved     Reason = "removed_operator"   // removed by command
	ReasonUndecided   Reason = "undecided"          // the directory could not answer, or the node is moving
	ReasonLimit       Reason = "too_many"           // the node or the address has all the connections that it may have
	ReasonOther       Reason = "other"
)

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonCredentials, ReasonNoIdentity, ReasonSignature, ReasonUser, ReasonExpired, ReasonRemoved, ReasonUndecided, ReasonLimit, ReasonOther,
	}
}

// Error makes a reason the cause of a refusal.
func (r Reason) Error() string { return string(r) }

// ReasonOf returns the reason of an error of Decide.
func ReasonOf(err error) Reason {
	var r Reason
	switch {
	case errors.As(err, &r):
		return r
	case core.KindOf(err) == core.KindInvalid:
		return ReasonCredentials
	case core.KindOf(err) == core.KindUnavailable:
		return ReasonUndecided
	}
	return ReasonOther
}

// refuse is a refusal for a reason. The reason is not part of the text.
func refuse(r Reason, format string, args ...any) *core.Error {
	e := core.Errorf(core.KindRefused, format, args...)
	e.Err = r
	return e
}
