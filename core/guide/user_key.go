package guide

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// UserKey is a user's key that was lost, or why nothing is known of it.
type UserKey struct {
	core.UserKey
	Fault   string // why it cannot be read now
	Missing string // why there is no such user
}

// UserKeyOf is what the caller's question for a user's key has brought.
func UserKeyOf(k core.UserKey, err error) *UserKey {
	switch e := core.AsError(err); {
	case err == nil:
		return &UserKey{UserKey: k}
	case e.Kind == core.KindNotFound || e.Kind == core.KindInvalid:
		return &UserKey{Missing: strings.TrimSuffix(e.Text, ".")}
	default:
		return &UserKey{Fault: strings.TrimSuffix(e.Text, ".")}
	}
}

// NeedsUserKey is the key that a guide wants Facts.UserKey of; "" if none.
func (g Guide) NeedsUserKey(args []string) string {
	if g.Name != "user-key-lost" || len(args) == 0 {
		return ""
	}
	return args[0]
}

// userKeyLost ends what the key can do, and gives the same person another one.
func userKeyLost(c *checklist) {
	key := c.Args[0]
	switch k := c.UserKey; {
	case slices.ContainsFunc(cluster.OperatorsOf(c.View).Operators, func(o cluster.OperatorSeen) bool { return o.Key == key }):
		c.notApplicable("the key is that of an operator; see " + Command("operator-key-lost", key))
		return
	case k == nil || k.Fault != "":
		seen := "the user was not read yet"
		if k != nil {
			seen = k.Fault
		}
		c.add(Step{Title: "The user can be read", Why: "the later steps depend on it", Seen: seen}, Waiting)
		return
	case k.Missing != "":
		c.notApplicable(k.Missing)
		return
	}
	c.revokeUser(c.UserKey.User)
	c.sessionsEnded()
	c.roomsRekeyed()
	c.userReplaced()
	if !c.open {
		c.report.Text = c.userKeyEnd()
	}
}

func (c *checklist) revokeUser(u core.User) {
	c.require(Step{
		Title: "Revoke " + called(u), Why: "until then the key opens the bus, with all rooms of the user",
		Type: []string{"unibusd user revoke " + string(u.ID)}, Seen: "the user is " + string(u.StatusAt(c.At)),
	}, u.Status == core.UserRevoked, Next)
}

func called(u core.User) string {
	if u.Name == nil || strings.TrimSpace(*u.Name) == "" {
		return u.ID.Short()
	}
	return core.ShownName(*u.Name) + " (" + u.ID.Short() + ")"
}

// sessionsEnded relies on what each node says of its own sessions, and on no node admitting
// a key that is no user's.
func (c *checklist) sessionsEnded() {
	s := Step{Title: "No node has a session of the key", Why: "a session that was open at the revocation would go on"}
	for _, n := range c.Nodes {
		if n.Online && n.Info != nil && n.Info.BusAuth != core.BusAuthEnforce {
			s.Seen = fmt.Sprintf("%s runs with --bus-auth %s, which admits a revoked key", n.Name, n.Info.BusAuth)
			s.Do = "set bus-auth to enforce in the configuration file of " + at(n) + ", and restart unibusd there"
			c.add(s, Next)
			return
		}
	}
	ended, unknown := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(c.UserKey.Sessions)) {
		e := c.UserKey.Sessions[name]
		if ended += e.Ended; e.Fault != "" {
			unknown = append(unknown, name+": "+e.Fault)
		}
	}
	for _, n := range c.Nodes {
		if _, said := c.UserKey.Sessions[n.Name]; !said && c.Clustered {
			unknown = append(unknown, n.Name+" was not asked")
		}
	}
	s.Seen = fmt.Sprintf("%d nodes say that none is left, and ended %d", len(c.UserKey.Sessions), ended)
	if len(unknown) > 0 {
		s.Seen = strings.Join(unknown, "; ")
	}
	c.require(s, len(unknown) == 0 && len(c.UserKey.Sessions) > 0, Waiting)
}

// mostRooms bounds how many rooms a step names.
const mostRooms = 10

// roomsRekeyed is done when the key knows the current key of no room.
func (c *checklist) roomsRekeyed() {
	rooms := c.UserKey.Rekey
	s := Step{
		Title: "Every encrypted room has a key that the lost one does not open", Why: "with the lost key, messages under the rooms' keys of before can be read",
		Seen: "no encrypted room has a key that it opens",
	}
	if len(rooms) > 0 {
		s.Seen = "a new key is needed by " + roomList(rooms)
		s.Do = "a member's program makes one by itself while it has the room open; this asks for one:"
		for _, id := range rooms[:min(len(rooms), mostRooms)] {
			s.Type = append(s.Type, "unibusd room rekey "+core.ShellQuote(string(id)))
		}
	}
	c.require(s, len(rooms) == 0, Next)
}

func roomList(rooms []core.RoomID) string {
	names := make([]string, 0, len(rooms))
	for _, id := range rooms[:min(len(rooms), mostRooms)] {
		names = append(names, string(id))
	}
	out := strings.Join(names, ", ")
	if more := len(rooms) - len(names); more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}

// userReplaced is done when the plain rooms are not the lost key's any more, and the person
// has another key.
func (c *checklist) userReplaced() {
	k := c.UserKey
	seen := "no room is the lost key's, and the new one is " + c.successor()
	if len(k.Movable) > 0 {
		seen = "the lost key has these rooms still: " + roomList(k.Movable)
	} else if len(k.Successors) == 0 {
		seen = "no active user of the same name and role was created since the revocation"
	}
	c.require(Step{
		Title: "Give the person a new key", Why: "a lost key is never admitted again, and its plain rooms and roles go to the new one",
		Do:   "the person makes the key and gives you its public half, NEW, which is not to be added before; if the person has left, there is nothing more to do",
		Type: []string{"unibusd keygen user --out new-user.nk", "unibusd user replace " + string(k.User.ID) + " NEW"}, Seen: seen,
	}, len(k.Movable) == 0 && len(k.Successors) > 0, Next)
}

func (c *checklist) successor() string {
	if len(c.UserKey.Successors) == 0 {
		return ""
	}
	return called(c.UserKey.Successors[0])
}

func (c *checklist) userKeyEnd() string {
	k := c.UserKey
	text := fmt.Sprintf("%s is revoked, no node has a session of it, no encrypted room has a key that it opens, and the person has the key of %s. ", called(k.User), c.successor())
	if len(k.Encrypted) > 0 {
		text += "No operator can bring the new key into an encrypted room: in each of these an owner or admin has to invite it: " + roomList(k.Encrypted) + ". "
	}
	if k.User.Role == core.RoleAdmin {
		text += "Read what the user-admin's key did: unibusd audit --since 7d --user-admin " + string(k.User.ID)
	}
	return strings.TrimSpace(text)
}
