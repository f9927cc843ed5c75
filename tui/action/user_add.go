package action

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"unibus/core"
	"unibus/tui/widget"
)

func addQuestion(s Input) Question {
	return Question{
		Title: "Add a user", ConfirmLabel: "Add",
		Lines: []string{"The public nkey comes from the user: `unibusd keygen user --out FILE` prints it and keeps the secret."},
		Fields: []widget.Field{
			nkeyField("nkey"),
			{Label: "name", Hint: "shown to operators and members"},
			{Label: "role", Value: string(core.RoleMember), Check: func(v string) error {
				if r := core.UserRole(v); r != core.RoleMember && r != core.RoleAdmin {
					return core.Errorf(core.KindInvalid, "The role is member or admin.")
				}
				return nil
			}},
			{Label: "ends", Value: "never", Hint: "90d, a day, or never", Check: isExpiry(s.Now)},
		},
	}
}

func nkeyField(label string) widget.Field {
	return widget.Field{Label: label, Hint: "U… 56 characters", Check: func(v string) error {
		_, err := core.ParseUserID(v)
		return err
	}}
}

func isExpiry(now time.Time) func(string) error {
	return func(v string) error {
		_, err := core.ParseExpiry(v, now)
		return err
	}
}

func addCommand(_ Input, v []string) string {
	nkey, name, role, ends := v[0], v[1], v[2], v[3]
	if nkey == "" {
		nkey = "NKEY"
	}
	line := "unibusd user add " + core.ShellQuote(nkey)
	if name != "" {
		line += " --name " + core.ShellQuote(name)
	}
	if role != "" {
		line += " --role " + core.ShellQuote(role)
	}
	if ends != "" && ends != "never" {
		line += " --expires " + core.ShellQuote(ends)
	}
	return line
}

func runAdd(ctx context.Context, c Client, s Input, v []string) (string, error) {
	id, err := core.ParseUserID(v[0])
	if err != nil {
		return "", err
	}
	u := core.User{ID: id, Role: core.UserRole(v[2])}
	if v[1] != "" {
		u.Name = &v[1]
	}
	if u.Expires, err = core.ParseExpiry(v[3], s.Now); err != nil {
		return "", err
	}
	if u, err = c.UserAdd(ctx, u); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s can connect now%s, as %s", userName(u), untilText(s, u), u.Role), nil
}

// untilText is when a user ends, "" for one without an end.
func untilText(s Input, u core.User) string {
	if u.Expires == 0 {
		return ""
	}
	return ", until " + u.Expires.Time().In(s.Now.Location()).Format("2006-01-02 15:04 MST")
}

func extendAction() Action {
	return Action{
		Name: "user extend", Aliases: []string{"extend"}, Key: "e", IsRare: true, Scope: PageUsers, ArgumentKind: KindUser, Confirmation: YesNo,
		Help:        "give a user another end, or none",
		Unavailable: unlessOneUser,
		Question: func(s Input) Question {
			u := findUser(s.Snapshot, s.Selected.only(KindUser))
			q := Question{Title: fmt.Sprintf("When does the access of %s end?", selectedUsersText(s)), ConfirmLabel: "Set"}
			q.Lines = append(fullNameLines(s), "Every node refuses the user from then on, and ends the sessions. Now: "+nowEnds(s, u)+".")
			if u.Status == core.UserRevoked {
				q.Lines = append(q.Lines, "The user is revoked and stays so: `user activate` reverses that.")
			}
			q.Fields = []widget.Field{{Label: "ends", Hint: "90d, a day, or never", Check: isExpiry(s.Now)}}
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
			return fmt.Sprintf("%s: %s", userName(u), nowEnds(s, u)), nil
		},
	}
}

func nowEnds(s Input, u core.User) string {
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
