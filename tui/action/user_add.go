package action

import (
	"context"
	"fmt"
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
			{Label: "role", Value: string(core.RoleMember), Choices: []string{string(core.RoleMember), string(core.RoleAdmin)}},
			{Label: "expires", Value: "never", Hint: "90d, a day, or never", Check: isExpiry(s.Now)},
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

// untilText is when a user's access expires, "" if never.
func untilText(s Input, u core.User) string {
	if u.Expires == 0 {
		return ""
	}
	return ", until " + u.Expires.Time().In(s.Now.Location()).Format("2006-01-02 15:04 MST")
}
