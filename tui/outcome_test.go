package tui_test

import (
	"context"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// failingClient fails every revocation.
type failingClient struct {
	*tuitest.FakeClient
	err error
}

func (c *failingClient) Revoke(context.Context, string) (admin.Revoked, error) {
	return admin.Revoked{}, c.err
}

// TestOutcomeOfAFailedAction: an action of which a node says that nothing was done is
// not told as one that may have taken effect.
func TestOutcomeOfAFailedAction(t *testing.T) {
	t.Parallel()
	const maybe = "The action may have taken effect."
	unavailable := core.Errorf(core.KindUnavailable, "it could not be recorded in the audit")
	for title, err := range map[string]error{
		"Not done: user revoke":  unavailable.WithOutcome(core.OutcomeNone),
		"No answer: user revoke": unavailable.WithOutcome(core.OutcomeUnknown),
	} {
		state := tuitest.Healthy()
		for i := range state.Users {
			state.Users[i].Status = core.UserActive
		}
		h, _ := newHarness(t, state, func(cfg *tui.Config) {
			cfg.Client = &failingClient{cfg.Client.(*tuitest.FakeClient), err}
		})
		h.Press("4", "down", "m", "m")
		confirmAction(h, "2 users", "r")
		h.Settle()
		assertShows(t, h, title)
		if core.OutcomeOf(err) == core.OutcomeNone {
			assertHides(t, h, maybe)
		} else {
			assertShows(t, h, maybe)
		}
	}
}
