package action

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"unibus/core"
	"unibus/tui/widget"
)

func extendAction() Action {
	return Action{
		Name: "user extend", Aliases: []string{"extend"}, Key: "e", IsRare: true, Scope: PageUsers, ArgumentKind: KindUser, Confirmation: YesNo,
		Help:        "change when a user's access expires",
		Unavailable: unlessOneUser,
		Undo:        undoExtend,
		Question: func(s Input) Question {
			u := findUser(s, s.Selected.only(KindUser))
			q := Question{Title: fmt.Sprintf("When does the access of %s end?", selectedUsersText(s)), ConfirmLabel: "Set"}
			q.Lines = append(fullNameLines(s), "Every node refuses the user from then on, and ends the sessions. Now: "+expiryText(s, u)+".")
			if u.Status == core.UserRevoked {
				q.Lines = append(q.Lines, "The user is revoked and stays so: `user activate` reverses that.")
			}
			q.Fields = []widget.Field{{Label: "expires", Hint: "90d, a day, or never", Check: isExpiry(s.Now)}}
			return q
		},
		Command: func(s Input, v []string) string {
			return perUserCommand(s, "unibusd user extend") + " --expires " + core.ShellQuote(cmp.Or(v[0], "TIME"))
		},
		Run: func(ctx context.Context, c Client, s Input, v []string) (string, error) {
			at, err := core.ParseExpiry(v[0], s.Now)
			if err != nil {
				return "", err
			}
			u, err := c.UserExtend(ctx, s.Selected.only(KindUser), at)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%s: %s", userName(u), expiryText(s, u)), nil
		},
	}
}

func expiryText(s Input, u core.User) string {
	if u.Expires == 0 {
		return "no end"
	}
	return strings.TrimPrefix(untilText(s, u), ", ")
}

// unlessOneUser is the rule of an action on a single user.
func unlessOneUser(s Input) string {
	switch {
	case s.Selected.Kind != KindUser || len(s.Selected.IDs) == 0:
		return nothingSelected(KindUser)
	case len(s.Selected.IDs) > 1:
		return "it changes one user at a time, and " + selectedUsersText(s) + " are marked"
	}
	return ""
}
