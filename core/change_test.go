package core

import (
	"context"
	"errors"
	"testing"
)

// TestChangeSaysWhatBecameOfIt: the first write of any step decides, and a refusal stays one.
func TestChangeSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	plain := Errorf(KindUnavailable, "no answer")
	barrier := plain.WithOutcome(OutcomeUnknown) // of a write that only proved a read
	none := plain.WithOutcome(OutcomeNone)
	for name, c := range map[string]struct {
		err  error
		sent bool
		want Outcome
	}{
		"a read before any write":           {plain, false, OutcomeNone},
		"a barrier before any write":        {barrier, false, OutcomeNone},
		"a read after a write":              {plain, true, OutcomeUnknown},
		"a step that did nothing, after it": {none, true, OutcomeUnknown},
		"a write without an answer":         {barrier, true, OutcomeUnknown},
		"a refusal":                         {Errorf(KindRefused, "no"), false, ""},
		"a refusal after a write":           {Errorf(KindConflict, "no"), true, ""},
		"success":                           {nil, true, ""},
	} {
		ctx, whole := BeginChange(context.Background())
		step, inner := BeginChange(ctx)
		if c.sent {
			WriteSent(step)
		}
		for of, change := range map[string]*Change{"the whole": whole, "the step": inner} {
			got := change.Explain(c.err)
			if OutcomeOf(got) != c.want || KindOf(got) != KindOf(c.err) || (c.err != nil && !errors.Is(got, c.err)) {
				t.Errorf("%s, %s: %v, outcome %q, not %q", name, of, got, OutcomeOf(got), c.want)
			}
		}
	}
	ctx, whole := BeginChange(context.Background())
	step, _ := BeginChange(ctx)
	WriteSent(step)
	_, next := BeginChange(ctx)
	if got := OutcomeOf(whole.Explain(next.Explain(plain))); got != OutcomeUnknown {
		t.Errorf("the second step failed before it wrote anything, and the whole says %q", got)
	}
	WriteSent(context.Background()) // nothing follows it
}
