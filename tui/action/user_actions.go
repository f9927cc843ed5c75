package action

import (
	"context"
	"fmt"
	"strings"

	"unibus/core"
	"unibus/tui/widget"
)

func userActions() []Action {
	return []Action{
		{
			Name: "user add", Aliases: []string{"add"}, Key: "a", Scope: PageUsers, Confirmation: YesNo,
			Help: "add a user that may connect", Question: addQuestion, Command: addCommand, Run: runAdd, Undo: undoAdd,
		},
		{
			Name: "user revoke", Aliases: []string{"revoke"}, Key: "r", Scope: PageUsers, ArgumentKind: KindUser, Confirmation: TypeObjectName, NeedsNoQuorum: onSQLite,
			Help:        "block users and end their sessions",
			Unavailable: noUserToChange(core.UserActive, "revoked"),
			Question:    revokeQuestion,
			Command:     func(s Input, _ []string) string { return perUserCommand(s, "unibusd user revoke") },
			Run:         runRevoke,
			Undo:        undoUsers("user activate", "lets them connect again"),
		},
		{
			Name: "user activate", Aliases: []string{"activate"}, Key: "u", Scope: PageUsers, ArgumentKind: KindUser, Confirmation: YesNo,
			Help:        "let revoked users connect again",
			Unavailable: noUserToChange(core.UserRevoked, "active"),
			Undo:        undoUsers("user revoke", "revokes them again"),
			Question: func(s Input) Question {
				q := Question{Title: fmt.Sprintf("Activate %s?", selectedUsersText(s)), ConfirmLabel: "Activate"}
				q.Lines = append(fullNameLines(s), "They can connect again and are still members of their rooms.")
				return withUnchangedCount(s, q, core.UserActive, "active")
			},
			Command: func(s Input, _ []string) string { return perUserCommand(s, "unibusd user activate") },
			Run: func(ctx context.Context, c Client, s Input, _ []string) (string, error) {
				return changeUsers(ctx, s, core.UserActive, "active again", c.UserActivate)
			},
		},
		extendAction(),
		replaceAction(),
		sessionEndAction(),
	}
}

// noUserToChange makes the rule that an action needs a selected user whose status
// it changes.
func noUserToChange(from core.UserStatus, statusWord string) func(Input) string {
	return func(s Input) string {
		if s.Selected.Kind != KindUser || len(s.Selected.IDs) == 0 {
			return nothingSelected(KindUser)
		}
		for _, id := range s.Selected.IDs {
			if st := findUser(s, id).Status; st == from || st == "" {
				return ""
			}
		}
		if len(s.Selected.IDs) == 1 {
			return selectedUsersText(s) + " is " + statusWord + " already"
		}
		return "all of them are " + statusWord + " already"
	}
}

func selectedUsersText(s Input) string { return usersText(s, s.Selected.IDs) }

// usersText names one user, and counts several.
func usersText(s Input, ids []string) string {
	if len(ids) == 1 {
		return widget.Sanitize(userName(findUser(s, ids[0])))
	}
	return widget.Plural(len(ids), "user", "users")
}

// perUserCommand is a command that takes one nkey; $k stands for each of several.
func perUserCommand(s Input, cmd string) string {
	if len(s.Selected.IDs) > 1 {
		return cmd + " $k"
	}
	return cmd + " " + quotedIDs(s)
}

func quotedIDs(s Input) string {
	words := make([]string, len(s.Selected.IDs))
	for i, id := range s.Selected.IDs {
		words[i] = core.ShellQuote(id)
	}
	return strings.Join(words, " ")
}

func revokeQuestion(s Input) Question {
	q := Question{Title: fmt.Sprintf("Revoke %s?", selectedUsersText(s)), ConfirmLabel: "Revoke"}
	q.Lines = append(fullNameLines(s), "Every node refuses them from now on, and their sessions end. Nothing is deleted: `user activate` reverses it.")
	if len(s.Selected.IDs) == 1 {
		u := findUser(s, s.Selected.IDs[0])
		if u.Role == core.RoleAdmin {
			q.Lines = append(q.Lines, "This user is an admin of the bus.")
		}
		q.TypedWord, q.AlternativeWord = widget.Sanitize(userName(u)), nkeySuffix(u)
		if !isTypeable(q.TypedWord) {
			q.TypedWord, q.AlternativeWord = q.AlternativeWord, q.TypedWord
			q.Lines = append(q.Lines, fmt.Sprintf("%s is the end of their nkey: %s", q.TypedWord, u.ID))
		}
		return q
	}
	var names []string
	for _, id := range s.Selected.IDs {
		names = append(names, userName(findUser(s, id)))
	}
	q.Lines = append(q.Lines, strings.Join(names, ", "))
	q.TypedWord = widget.Plural(len(s.Selected.IDs), "user", "users")
	return withUnchangedCount(s, q, core.UserRevoked, "revoked")
}

// maxTypedName bounds the names that must be typed, and those in titles, in
// cells.
const maxTypedName = 24

// isTypeable is true for a name that any keyboard can type and a line can hold.
func isTypeable(name string) bool {
	notASCII := func(r rune) bool { return r < ' ' || r > '~' }
	return name != "" && name == strings.TrimSpace(name) && !strings.Contains(name, "  ") &&
		len(name) <= maxTypedName && !strings.ContainsFunc(name, notASCII)
}

// nkeySuffix is the end of a user's nkey: four characters that any keyboard has.
func nkeySuffix(u core.User) string { return string(u.ID[max(0, len(u.ID)-4):]) }

// fullNameLines are the name of the one selected user, if it is too long for a
// title.
func fullNameLines(s Input) []string {
	if len(s.Selected.IDs) != 1 {
		return nil
	}
	if name := widget.Sanitize(userName(findUser(s, s.Selected.IDs[0]))); widget.Width(name) > maxTypedName {
		return []string{"Full name: " + name}
	}
	return nil
}

// withUnchangedCount adds how many selected users already have the status.
func withUnchangedCount(s Input, q Question, want core.UserStatus, word string) Question {
	if n := len(s.Selected.IDs) - len(usersToChange(s, want)); n > 0 && n < len(s.Selected.IDs) {
		q.Lines = append(q.Lines, fmt.Sprintf("%s of them %s already %s and will not change.", widget.FormatCount(n), pluralize(n, "is", "are"), word))
	}
	return q
}

// usersToChange omits the selected users that already have the status. If all
// have it they are all requested, because the cluster may know better.
func usersToChange(s Input, want core.UserStatus) []string {
	var out []string
	for _, id := range s.Selected.IDs {
		if findUser(s, id).Status != want {
			out = append(out, id)
		}
	}
	if out == nil {
		return s.Selected.IDs
	}
	return out
}

// changeUsers changes the selected users one after the other and stops at the
// first error. It skips users that already have the status, so that a retry
// continues. With an error it still returns what was done.
func changeUsers(ctx context.Context, s Input, want core.UserStatus, doneWord string, change func(context.Context, string) (core.User, error)) (string, error) {
	ids := usersToChange(s, want)
	unchanged := len(s.Selected.IDs) - len(ids)
	for i, id := range ids {
		if _, err := change(ctx, id); err != nil {
			if i+unchanged == 0 {
				return "", err
			}
			e := core.AsError(err)
			err = core.Errorf(e.Kind, "%s of %s are %s; then %s failed: %s", widget.FormatCount(i+unchanged), widget.FormatCount(len(s.Selected.IDs)), doneWord, core.UserID(id).Short(), e.Text).WithNext("%s", e.Next)
			if i == 0 {
				return "", err
			}
			return fmt.Sprintf("%s %s %s", usersText(s, ids[:i]), pluralize(i, "is", "are"), doneWord), err
		}
	}
	text := fmt.Sprintf("%s %s %s", usersText(s, ids), pluralize(len(ids), "is", "are"), doneWord)
	if unchanged > 0 {
		text += fmt.Sprintf(", %s %s before", widget.FormatCount(unchanged), pluralize(unchanged, "was", "were"))
	}
	return text, nil
}

// findUser returns the user with an id; only the id is set if the user is not
// known.
func findUser(s Input, id string) core.User {
	for _, u := range s.Users {
		if string(u.ID) == id {
			return u
		}
	}
	if u, known := s.Snapshot.User(core.UserID(id)); known {
		return u
	}
	return core.User{ID: core.UserID(id)}
}

// userName returns the name, or the short id without one.
func userName(u core.User) string {
	if u.Name != nil && strings.TrimSpace(*u.Name) != "" {
		return core.ShownName(*u.Name)
	}
	return u.ID.Short()
}
