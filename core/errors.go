package core

import (
	"errors"
	"fmt"
	"strings"
)

// Kind sorts errors by what the caller can do about them. It crosses process
// boundaries as text, and each kind has one exit code (see ExitCode).
type Kind string

// The kinds, from the caller's own mistake to the system's.
const (
	KindInvalid     Kind = "invalid"     // the request is malformed: a flag, an id, a row; correct it and try again
	KindNotFound    Kind = "not_found"   // the thing that was named does not exist
	KindExists      Kind = "exists"      // the thing to be created is there already
	KindConflict    Kind = "conflict"    // another writer changed it first: read again, decide again
	KindRefused     Kind = "refused"     // understood and not allowed: a role, a state or a rule forbids it
	KindUnavailable Kind = "unavailable" // no answer came in time: nothing is known, a later try may succeed
	KindFailed      Kind = "failed"      // everything else: the text says what broke
)

// Outcome is what became of a change whose request failed, where the error knows it. A
// refusal, and every other kind than KindUnavailable, says by itself that nothing was done.
type Outcome string

// The outcomes.
const (
	OutcomeNone    Outcome = "none"    // nothing was done: the same may be asked for again
	OutcomeUnknown Outcome = "unknown" // it may have taken effect: only what does no harm twice may be asked for again
)

// Error is an error for people: what happened, to what, and what to do. Err is the
// cause, for errors.Is and for logs; it is not part of the JSON.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
	Next string `json:"next,omitempty"`
	Err  error  `json:"-"`

	Outcome Outcome `json:"outcome,omitempty"` // "": the error does not say; see OutcomeOf
}

// Error returns the text; a cause given to Errorf with %w is already part of it.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind. The arguments are those of fmt.Errorf; %w keeps
// a cause for errors.Is. The text goes to people, logs and other nodes: it holds
// no secret that Redact knows.
func Errorf(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Text: plainText(err), Err: errors.Unwrap(err)}
}

// plainText is an error as people read it: without secrets, and without the texts of Go and
// of its libraries for what happens every day. Each stands at the end, behind what failed.
func plainText(err error) string {
	text := err.Error()
	for _, of := range [][2]string{
		{"context deadline exceeded", "no answer came in time"},
		{"i/o timeout", "no answer came in time"},
		{"nats: timeout", "no answer came in time"},
		{"context canceled", "it was canceled"},
		{"nats: no responders available for request", "no node answers it"},
		{"nats: connection closed", "the connection is closed"},
	} {
		text = strings.ReplaceAll(text, of[0], of[1])
	}
	for _, end := range []string{": unexpected EOF", ": EOF"} {
		if before, ok := strings.CutSuffix(text, end); ok {
			text = before + ": it ended too early"
		}
	}
	return RedactValue(text)
}

// WithNext returns a copy of e that says what to do next.
func (e *Error) WithNext(format string, args ...any) *Error {
	c := *e
	c.Next = RedactValue(fmt.Sprintf(format, args...))
	return &c
}

// WithOutcome returns a copy of e that says what became of the change.
func (e *Error) WithOutcome(o Outcome) *Error {
	c := *e
	c.Outcome = o
	return &c
}

// OutcomeOf returns what the first *Error in err's chain that knows says of the change, "" where none does.
func OutcomeOf(err error) Outcome {
	var e *Error
	for errors.As(err, &e) {
		if e.Outcome != "" {
			return e.Outcome
		}
		err = e.Err
	}
	return ""
}

// ReadError says of the failed request of a caller who only reads that nothing was done.
// A node may write to prove its answer, and such a write changes nothing.
func ReadError(err error) error {
	if KindOf(err) != KindUnavailable || OutcomeOf(err) == OutcomeNone {
		return err
	}
	e := AsError(err).WithOutcome(OutcomeNone)
	e.Err = err
	return e
}

// KindOf returns the kind of the first *Error in err's chain: "" for nil, KindFailed where there is none.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindFailed
}

// AsError returns err as an *Error, so that it can be printed or sent: the
// outermost one in its chain with the text around it kept, else a new KindFailed.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Kind: KindFailed, Text: plainText(err)}
	}
	return &Error{Kind: e.Kind, Text: plainText(err), Next: e.Next, Outcome: OutcomeOf(err)}
}

// ExitCode is the exit code of a command that ended with err: 0 done, 1 failed,
// 2 wrong usage, 3 refused, 4 unavailable.
func ExitCode(err error) int {
	switch KindOf(err) {
	case "":
		return 0
	case KindInvalid:
		return 2
	case KindRefused:
		return 3
	case KindUnavailable:
		return 4
	default:
		return 1
	}
}
