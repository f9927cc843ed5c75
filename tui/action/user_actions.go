package action

import (
	"context"
	"fmt"
	"strings"

	"unibus/core"
	"unibus/tui/feed"
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
				q := Question{Title: fmt.Sprintf("Admit %s again?", who(s)), Confirm: "Activate"}
				q.Lines = append(inFull(s), "They may connect from now on, and are in the rooms they were in.")
				return alreadySaid(s, q, core.UserActive, "active")
			},
			Same: func(s State, _ []string) string { return each(s, "unibusd user activate") },
			Run: func(ctx context.Context, c Client, s State, _ []string) (string, error) {
				return eachUser(ctx, s, core.UserActive, "active again", c.UserActivate)
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

func who(s State) string { return called(s, s.Selected.IDs) }

// called is how users are spoken of: one by name, several by their number.
func called(s State, ids []string) string {
	if len(ids) == 1 {
		return widget.Clean(nameOf(userOf(s.Snap, ids[0])))
	}
	return widget.Plural(len(ids), "user", "users")
}

func each(s State, cmd string) string {
	if n := len(s.Selected.IDs); n > 1 {
		return fmt.Sprintf("%s NKEY, once for each of the %s", cmd, widget.Count(n))
	}
	return cmd + " " + strings.Join(s.Selected.IDs, " ")
}

func askRevoke(s State) Question {
	q := Question{Title: fmt.Sprintf("Revoke %s?", who(s)), Confirm: "Revoke"}
	q.Lines = append(inFull(s), "They are refused on every node from now on, and their sessions end. Nothing is deleted: `user activate` admits them again.")
	if len(s.Selected.IDs) == 1 {
		u := userOf(s.Snap, s.Selected.IDs[0])
		if u.Role == core.RoleAdmin {
			q.Lines = append(q.Lines, "This user is an admin of the bus.")
		}
		q.Word, q.Or = widget.Clean(nameOf(u)), tail(u)
		if !typeable(q.Word) {
			q.Word, q.Or = q.Or, q.Word
			q.Lines = append(q.Lines, fmt.Sprintf("%s is the end of their nkey: %s", q.Word, u.ID))
		}
		return q
	}
	var names []string
	for _, id := range s.Selected.IDs {
		names = append(names, nameOf(userOf(s.Snap, id)))
	}
	q.Lines = append(q.Lines, strings.Join(names, ", "))
	q.Word = widget.Plural(len(s.Selected.IDs), "user", "users")
	return alreadySaid(s, q, core.UserRevoked, "revoked")
}

// longName is how many cells of a name are typed, or shown in a title, at the most.
const longName = 24

// typeable is true for a name that every keyboard has and a line has room for.
func typeable(name string) bool {
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	return name != "" && name == strings.TrimSpace(name) && !strings.Contains(name, "  ") &&
		len(name) <= longName && !strings.ContainsFunc(name, odd)
}

// tail is the end of a user's nkey: four characters that every keyboard has.
func tail(u core.User) string { return string(u.ID[max(0, len(u.ID)-4):]) }

// inFull is the name of the one selected user where a title has no room for it.
func inFull(s State) []string {
	if len(s.Selected.IDs) != 1 {
		return nil
	}
	if name := widget.Clean(nameOf(userOf(s.Snap, s.Selected.IDs[0]))); widget.Width(name) > longName {
		return []string{"Their name in full: " + name}
	}
	return nil
}

// alreadySaid adds how many of the selected users are left as they are.
func alreadySaid(s State, q Question, want core.UserStatus, word string) Question {
	if n := len(s.Selected.IDs) - len(changing(s, want)); n > 0 && n < len(s.Selected.IDs) {
		q.Lines = append(q.Lines, fmt.Sprintf("%s of them %s %s already, and left so.", widget.Count(n), plural(n, "is", "are"), word))
	}
	return q
}

// changing are the selected users without those that have the status already.
// Where that is all of them they are asked for all the same: the cluster knows.
func changing(s State, want core.UserStatus) []string {
	var out []string
	for _, id := range s.Selected.IDs {
		if userOf(s.Snap, id).Status != want {
			out = append(out, id)
		}
	}
	if out == nil {
		return s.Selected.IDs
	}
	return out
}

// eachUser changes the selected users one after the other and stops at the
// first that fails. Those that have the status already are passed over, so that
// asking again goes on where it stopped. What was done is told beside an error too.
func eachUser(ctx context.Context, s State, want core.UserStatus, did string, change func(context.Context, string) (core.User, error)) (string, error) {
	ids := changing(s, want)
	before := len(s.Selected.IDs) - len(ids)
	for i, id := range ids {
		if _, err := change(ctx, id); err != nil {
			if i+before == 0 {
				return "", err
			}
			e := core.AsError(err)
			err = core.Errorf(e.Kind, "%s of %s are %s; then %s failed: %s", widget.Count(i+before), widget.Count(len(s.Selected.IDs)), did, core.UserID(id).Short(), e.Text).WithNext("%s", e.Next)
			if i == 0 {
				return "", err
			}
			return fmt.Sprintf("%s %s %s", called(s, ids[:i]), plural(i, "is", "are"), did), err
		}
	}
	text := fmt.Sprintf("%s %s %s", called(s, ids), plural(len(ids), "is", "are"), did)
	if before > 0 {
		text += fmt.Sprintf(", %s %s so before", widget.Count(before), plural(before, "was", "were"))
	}
	return text, nil
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
	line := "unibusd user add " + Quoted(nkey)
	if name != "" {
		line += " --name " + Quoted(name)
	}
	if role != "" {
		line += " --role " + Quoted(role)
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

// userOf is what is known of a user, an id alone where nothing is.
func userOf(snap *feed.Snapshot, id string) core.User {
	for _, u := range snap.Users.Value {
		if string(u.ID) == id {
			return u
		}
	}
	return core.User{ID: core.UserID(id)}
}

// nameOf is how a user is spoken of: by name, else by the short id.
func nameOf(u core.User) string {
	if u.Name != nil && strings.TrimSpace(*u.Name) != "" {
		return *u.Name
	}
	return u.ID.Short()
}
