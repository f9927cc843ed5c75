package action

import (
	"context"
	"fmt"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/widget"
)

// allSessions is what ends every session of the user.
const allSessions = "all"

func sessionEndAction() Action {
	return Action{
		Name: "session end", Key: "X", Hint: "end sessions", IsRare: true, Scope: PageUsers, ArgumentKind: KindUser, Confirmation: YesNo,
		Help:        "end one session of a user, or all; the client connects again",
		Unavailable: unlessOneUser,
		Question: func(s Input) Question {
			q := Question{Title: fmt.Sprintf("End which session of %s?", selectedUsersText(s)), ConfirmLabel: "End"}
			q.Lines = append(fullNameLines(s), "The client connects again at once, perhaps to another node. `user revoke` keeps the user out.")
			q.Fields = []widget.Field{{Label: "session", Hint: "an id such as n2/57, or all", Value: onlySession(s), Check: isSession}}
			return q
		},
		Command: func(s Input, v []string) string {
			if v[0] == allSessions || v[0] == "" {
				return perUserCommand(s, "unibusd session end")
			}
			return "unibusd session end " + core.ShellQuote(v[0])
		},
		Run: runSessionEnd,
	}
}

// onlySession is the id of the one session that the page shows, or all of them; "" where the page does not know.
func onlySession(s Input) string {
	known := s.Snapshot.Sessions
	switch list := known.Value.Sessions; {
	case !known.Known() || string(s.Snapshot.SessionsOf) != s.Selected.only(KindUser) || len(list) == 0:
		return ""
	case len(list) == 1:
		return list[0].ID
	}
	return allSessions
}

func isSession(text string) error {
	if text == allSessions {
		return nil
	}
	if _, err := admin.ParseSessionID(text); err != nil {
		return core.Errorf(core.KindInvalid, "Give the id of a session, as the user's page lists it, or all.")
	}
	return nil
}

func runSessionEnd(ctx context.Context, c Client, s Input, v []string) (string, error) {
	user := s.Selected.only(KindUser)
	var e admin.SessionsEnded
	var err error
	if v[0] == allSessions {
		e, err = c.SessionEndAll(ctx, user)
	} else {
		e, err = c.SessionEnd(ctx, v[0])
	}
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s of %s ended; the client connects again", widget.Plural(e.Count(), "session", "sessions"), selectedUsersText(s))
	for _, name := range e.Unreached() {
		text += fmt.Sprintf("\n%s: unknown, it did not answer. Sessions may still be open there.", name)
	}
	return text, nil
}
