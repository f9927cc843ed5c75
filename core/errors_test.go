package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	if !errors.Is(inner, context.DeadlineExceeded) || inner.Error() != "no answer: context deadline exceeded" {
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

// TestErrorJSON: what crosses a process boundary, and comes back.
func TestErrorJSON(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*Error{
		`{"kind":"refused","text":"no","next":"ask"}`: Errorf(KindRefused, "no").WithNext("ask"),
		`{"kind":"failed","text":"broke: EOF"}`:       Errorf(KindFailed, "broke: %w", io.EOF),
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
