package client

import (
	"context"
	"testing"

	"unibus/core"
)

// TestOnceIsRepeatedWhereNothingWasDone: a change that might undo another one is sent
// again only after a node has said that it did nothing.
func TestOnceIsRepeatedWhereNothingWasDone(t *testing.T) {
	t.Parallel()
	c := newTestUser(t, startNode(t), core.RoleMember).open()
	unavailable := core.Errorf(core.KindUnavailable, "not now")
	for name, tc := range map[string]struct {
		policy  retryPolicy
		outcome core.Outcome
		tries   int
	}{
		"once, and nothing was done":       {once, core.OutcomeNone, 3},
		"once, and the outcome is unknown": {once, core.OutcomeUnknown, 1},
		"once, and nothing is said":        {once, "", 1},
		"idempotent, unknown":              {idempotent, core.OutcomeUnknown, 3},
	} {
		tries := 0
		_, err := sendRetrying(ctx(t), c, tc.policy, func(context.Context) (int, error) {
			if tries++; tries == 3 {
				return 0, nil
			}
			return 0, unavailable.WithOutcome(tc.outcome)
		})
		if tries != tc.tries || (err == nil) != (tc.tries == 3) {
			t.Errorf("%s: %d tries and %v, want %d tries", name, tries, err, tc.tries)
		}
	}
}
