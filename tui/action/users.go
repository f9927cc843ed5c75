package action

import (
	"context"
	"fmt"
	"strings"

	"unibus/core"
	"unibus/tui/widget"
)

func users() []Action {
	return []Action{
		{
			Name: "user add", Aliases: []string{"add"}, Key: "a", Scope: "users", Danger: YesNo,
			Help: "admit a new user", Ask: askAdd, Same: sameAdd, Run: runAdd,
		},
		{
			Name: "user revoke", Aliases: []string{"revoke"}, Key: "r", Scope: "users", Takes: "user", Danger: ObjectName,
			Help: "shut users out and end their sessions",
			Why:  someUser(core.UserActive, "revoked"),
			Ask:  askRevoke,
			Same: func(s State, _ []string) string { return each(s, "unibusd user revoke") },
			Run:  runRevoke,
		},
		{
			Name: "user activate", Aliases: []string{"activate"}, Key: "u", Scope: "users", Takes: "user", Danger: YesNo,
			Help: "admit revoked users again",
			Why:  someUser(core.UserRevoked, "active"),
			Ask: func(s State) Question {
				return Question{
					Title: fmt.Sprintf("Admit %s again?", who(s)), Confirm: "Activate",
					Lines: []string{"They may connect from now on, and are in the rooms they were in."},
				}
			},
			Same: func(s State, _ []string) string { return each(s, "unibusd user activate") },
			Run: func(ctx context.Context, c Client, s State, _ []string) (string, error) {
				return eachUser(ctx, s, "active again", c.UserActivate)
			},
		},
	}
}

// someUser refuses where no selected user has the status that the action changes.
func someUser(want core.UserStatus, already string) func(State) string {
	return func(s State) string {
		if s.Selected.Kind != "user" || len(s.Selected.IDs) == 0 {
			return "no user is selected"
		}
		for _, id := range s.Selected.IDs {
			if st := userOf(s.Snap, id).Status; st == want || st == "" {
				return ""
			}
		}
		if len(s.Selected.IDs) == 1 {
			return who(s) + " is " + already + " already"
		}
		return "all of them are " + already + " already"
	}
}

func who(s State) string {
	if len(s.Selected.IDs) == 1 {
		return nameOf(userOf(s.Snap, s.Selected.IDs[0]))
	}
	return widget.Plural(len(s.Selected.IDs), "user", "users")
}

func each(s State, cmd string) string {
	if n := len(s.Selected.IDs); n > 1 {
		return fmt.Sprintf("%s NKEY, once for each of the %d", cmd, n)
	}
	return cmd + " " + strings.Join(s.Selected.IDs, " ")
}

func askRevoke(s State) Question {
	q := Question{Title: fmt.Sprintf("Revoke %s?", who(s)), Confirm: "Revoke"}
	q.Lines = []string{"They are refused on every node from now on, and their sessions end. Nothing is deleted: `user activate` admits them again."}
	if len(s.Selected.IDs) == 1 {
		u := userOf(s.Snap, s.Selected.IDs[0])
		q.Word = widget.Clean(nameOf(u))
		if u.Role == core.RoleAdmin {
			q.Lines = append(q.Lines, "This user is an admin of the bus.")
		}
		if strings.ContainsRune(q.Word, '\uFFFD') || q.Word != strings.TrimSpace(q.Word) {
			q.Word = string(u.ID[max(0, len(u.ID)-4):]) // a name that cannot be typed
		}
		return q
	}
	var names []string
	for _, id := range s.Selected.IDs {
		names = append(names, nameOf(userOf(s.Snap, id)))
	}
	q.Lines = append(q.Lines, strings.Join(names, ", "))
	q.Word = fmt.Sprintf("%d users", len(s.Selected.IDs))
	return q
}

// eachUser changes the selected users one after the other and stops at the first that fails.
func eachUser(ctx context.Context, s State, did string, change func(context.Context, string) (core.User, error)) (string, error) {
	for i, id := range s.Selected.IDs {
		if _, err := change(ctx, id); err != nil {
			if i == 0 {
				return "", err
			}
			e := core.AsError(err)
			return "", core.Errorf(e.Kind, "%d of %d are %s; then %s failed: %s", i, len(s.Selected.IDs), did, core.UserID(id).Short(), e.Text).WithNext("%s", e.Next)
		}
	}
	verb := "is"
	if len(s.Selected.IDs) > 1 {
		verb = "are"
	}
	return fmt.Sprintf("%s %s %s", who(s), verb, did), nil
}

func askAdd(State) Question {
	return Question{
		Title: "Add a user", Confirm: "Add",
		Lines: []string{"The public nkey comes from the user: `unibusd keygen user --out FILE` prints it and keeps the secret."},
		Fields: []widget.Field{
			{Label: "nkey", Hint: "U… 56 characters", Check: func(v string) error {
				_, err := core.ParseUserID(v)
				return err
			}},
			{Label: "name", Hint: "how people know them"},
			{Label: "role", Value: string(core.RoleMember), Check: func(v string) error {
				if r := core.UserRole(v); r != core.RoleMember && r != core.RoleAdmin {
					return core.Errorf(core.KindInvalid, "A user is member or admin.")
				}
				return nil
			}},
		},
	}
}

func sameAdd(_ State, v []string) string {
	nkey, name, role := v[0], v[1], v[2]
	if nkey == "" {
		nkey = "NKEY"
	}
	line := "unibusd user add " + word(nkey)
	if name != "" {
		line += " --name " + word(name)
	}
	if role != "" {
		line += " --role " + word(role)
	}
	return line
}

func runAdd(ctx context.Context, c Client, _ State, v []string) (string, error) {
	id, err := core.ParseUserID(v[0])
	if err != nil {
		return "", err
	}
	u := core.User{ID: id, Role: core.UserRole(v[2])}
	if v[1] != "" {
		u.Name = &v[1]
	}
	if u, err = c.UserAdd(ctx, u); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s may connect now, as %s", nameOf(u), u.Role), nil
}
