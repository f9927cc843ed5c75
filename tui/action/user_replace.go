package action

import (
	"context"
	"fmt"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/widget"
)

func replaceAction() Action {
	return Action{
		Name: "user replace", Aliases: []string{"replace"}, Key: "w", IsRare: true, Hint: "new key", Scope: PageUsers, ArgumentKind: KindUser, Confirmation: TypeObjectName,
		Help:        "move a user's plain rooms and roles to a new key, and revoke the old one",
		Unavailable: unlessOneUser,
		Question:    replaceQuestion,
		Command: func(s Input, v []string) string {
			nkey := v[0]
			if nkey == "" {
				nkey = "NKEY"
			}
			return perUserCommand(s, "unibusd user replace") + " " + core.ShellQuote(nkey)
		},
		Run: func(ctx context.Context, c Client, s Input, v []string) (string, error) {
			r, err := c.UserReplace(ctx, s.Selected.only(KindUser), v[0])
			if err != nil {
				return "", err
			}
			return strings.Join(replaceReport(s, r), "\n"), nil
		},
	}
}

func replaceQuestion(s Input) Question {
	q := revokeQuestion(s)
	q.Title, q.ConfirmLabel = fmt.Sprintf("Give %s a new key?", selectedUsersText(s)), "Replace"
	q.Lines = append(fullNameLines(s),
		"The plain rooms, the role and the end move to the new key, and the old one is revoked on every node: its sessions end.",
		"An encrypted room stays: its owner or an admin of it invites the new key.",
	)
	if !isTypeable(userName(findUser(s, s.Selected.only(KindUser)))) {
		q.Lines = append(q.Lines, fmt.Sprintf("%s is the end of the old nkey: %s", q.TypedWord, s.Selected.only(KindUser)))
	}
	old := s.Selected.only(KindUser)
	field := nkeyField("new nkey")
	isNkey := field.Check
	field.Check = func(v string) error {
		if strings.EqualFold(v, old) {
			return core.Errorf(core.KindInvalid, "This is the old nkey.")
		}
		return isNkey(v)
	}
	q.Fields = []widget.Field{field}
	return q
}

// replaceReport names the rooms that moved, those that did not, and the ended sessions of the old
// key.
func replaceReport(s Input, r admin.Replaced) []string {
	out := []string{fmt.Sprintf("%s has the key %s now; %s moved", userName(r.New), r.New.ID.Short(), widget.Plural(len(r.Moved), "room", "rooms"))}
	for _, room := range r.Kept[:min(len(r.Kept), maxListedRooms)] {
		out = append(out, fmt.Sprintf("The room %s %s.", room, widget.Sanitize(r.StillThere(room))))
	}
	if n := len(r.Kept) - maxListedRooms; n > 0 {
		out = append(out, fmt.Sprintf("%s more did not move; `unibusd user replace` names them when it is run again.", widget.Plural(n, "room", "rooms")))
	}
	report := summarizeRevocations([]admin.Revoked{r.Revoked})
	return append(out, report.reportLines(s)...)
}
