package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]int{
		KindInvalid: 2, KindNotFound: 1, KindExists: 1, KindConflict: 1, KindRefused: 3, KindUnavailable: 4, KindFailed: 1, "unheard of": 1,
	} {
		for _, err := range []error{Errorf(kind, "x"), fmt.Errorf("around: %w", Errorf(kind, "x")), errors.Join(io.EOF, Errorf(kind, "x"))} {
			if got := ExitCode(err); got != want || KindOf(err) != kind {
				t.Errorf("%v: exit code %d and kind %q, want %d and %q", err, got, KindOf(err), want, kind)
			}
		}
	}
	if ExitCode(nil) != 0 || KindOf(nil) != "" {
		t.Error("nil is not done")
	}
	if ExitCode(io.EOF) != 1 || KindOf(io.EOF) != KindFailed {
		t.Error("a foreign error is not failed")
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	inner := Errorf(KindUnavailable, "no answer: %w", context.DeadlineExceeded)
	if !errors.Is(inner, context.DeadlineExceeded) || inner.Error() != "no answer: no answer came in time" {
		t.Errorf("%v", inner)
	}
	hinted := inner.WithNext("wait %d s", 3)
	if inner.Next != "" || hinted.Next != "wait 3 s" || !errors.Is(hinted, context.DeadlineExceeded) {
		t.Errorf("WithNext: %+v from %+v", hinted, inner)
	}
	outer := Errorf(KindFailed, "copying: %w", hinted)
	if KindOf(outer) != KindFailed || !errors.Is(outer, context.DeadlineExceeded) {
		t.Errorf("%+v", outer)
	}
}

func TestAsError(t *testing.T) {
	t.Parallel()
	refused := Errorf(KindRefused, "no").WithNext("ask")
	for _, c := range []struct {
		in   error
		want *Error
	}{
		{nil, nil},
		{refused, &Error{Kind: KindRefused, Text: "no", Next: "ask"}},
		{fmt.Errorf("adding: %w", refused), &Error{Kind: KindRefused, Text: "adding: no", Next: "ask"}},
		{io.EOF, &Error{Kind: KindFailed, Text: "EOF"}},
	} {
		if d := gocmp.Diff(c.want, AsError(c.in), cmpopts.IgnoreFields(Error{}, "Err")); d != "" {
			t.Errorf("AsError(%v):\n%s", c.in, d)
		}
	}
}

// TestErrorJSON: an error crosses a process boundary as JSON, and comes back.
func TestErrorJSON(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*Error{
		`{"kind":"refused","text":"no","next":"ask"}`:          Errorf(KindRefused, "no").WithNext("ask"),
		`{"kind":"failed","text":"broke: it ended too early"}`: Errorf(KindFailed, "broke: %w", io.EOF),
	} {
		got, err := json.Marshal(e)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
		var back Error
		if err := json.Unmarshal(got, &back); err != nil || KindOf(&back) != e.Kind || back.Text != e.Text || back.Next != e.Next {
			t.Errorf("%+v, %v", back, err)
		}
	}
}

// TestErrorsArePlain: a person never reads the words that Go and its libraries have for everyday
// causes.
func TestErrorsArePlain(t *testing.T) {
	t.Parallel()
	for text, err := range map[string]error{
		"n2 is silent: no answer came in time":       Errorf(KindUnavailable, "n2 is silent: %w", context.DeadlineExceeded),
		"it stopped: it was canceled":                Errorf(KindUnavailable, "it stopped: %w", context.Canceled),
		"n3: no answer came in time":                 Errorf(KindUnavailable, "n3: %w", os.ErrDeadlineExceeded),
		"the file: it ended too early":               Errorf(KindFailed, "the file: %w", io.ErrUnexpectedEOF),
		"asking: no node answers it":                 fmt.Errorf("asking: %w", errors.New("nats: no responders available for request")),
		"both: first: no answer came in time":        Errorf(KindFailed, "both: %w", Errorf(KindUnavailable, "first: %w", context.DeadlineExceeded)),
		"the room EOF and nats: are words of people": Errorf(KindFailed, "the room EOF and nats: are words of people"),
	} {
		if got := AsError(err).Text; got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	if err := Errorf(KindFailed, "x: %w", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
}

// TestReadErrors: a caller who only reads is never told that something may have been changed.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	unknown := Errorf(KindUnavailable, "x: %w", cause).WithOutcome(OutcomeUnknown).WithNext("look")
	for name, err := range map[string]error{"unknown": unknown, "around it": fmt.Errorf("y: %w", unknown), "silent": Errorf(KindUnavailable, "z: %w", cause)} {
		got := ReadError(err)
		if OutcomeOf(got) != OutcomeNone || !errors.Is(got, cause) || got.Error() != err.Error() {
			t.Errorf("%s: %v, %q", name, got, OutcomeOf(got))
		}
	}
	if refused := Errorf(KindRefused, "no"); ReadError(refused) != error(refused) || ReadError(nil) != nil {
		t.Error("what says by itself that nothing was done is changed")
	}
}
