package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

// TestOutcomeOf: the outermost error that knows the outcome says it, also after the way
// to another process.
func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	unknown := Errorf(KindUnavailable, "no answer came").WithOutcome(OutcomeUnknown)
	none := Errorf(KindUnavailable, "nothing was done: %w", unknown).WithOutcome(OutcomeNone)
	for name, c := range map[string]struct {
		err  error
		want Outcome
	}{
		"nil":                      {nil, ""},
		"no error of core":         {errors.New("x"), ""},
		"one that does not say":    {Errorf(KindRefused, "no"), ""},
		"one that says":            {unknown, OutcomeUnknown},
		"around one that says":     {Errorf(KindFailed, "adding: %w", unknown), OutcomeUnknown},
		"a plain one around":       {fmt.Errorf("adding: %w", unknown), OutcomeUnknown},
		"one that knows better":    {none, OutcomeNone},
		"its next step is another": {none.WithNext("run it again"), OutcomeNone},
	} {
		if got := OutcomeOf(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if c.err == nil {
			continue
		}
		var sent Error
		text, err := json.Marshal(AsError(c.err))
		if err == nil {
			err = json.Unmarshal(text, &sent)
		}
		if err != nil || OutcomeOf(&sent) != c.want {
			t.Errorf("%s: %q after it was sent, %v, want %q", name, OutcomeOf(&sent), err, c.want)
		}
	}
}
