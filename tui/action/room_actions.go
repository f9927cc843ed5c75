package action

import (
	"context"
	"fmt"
	"strings"

	"unibus/core/admin"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

func rooms() []Action {
	return []Action{{
		Name: "room rekey", Aliases: []string{"rekey"}, Key: "r", Scope: "rooms", Takes: "room", Danger: YesNo,
		Help: "ask an online member for a new key of a room",
		Why:  whyNoRekey, Ask: askRekey, Same: sameRekey, Run: runRekey,
	}}
}

// roomOf is the selected room, or the one whose members are looked at.
func roomOf(s State) string {
	if id := s.Selected.One("room"); id != "" {
		return id
	}
	return s.Selected.Room
}

// keysOf is what is known of a room's key: nothing more than its row, or all of it.
func keysOf(snap *feed.Snapshot, id string) (row *admin.KeyHealth, all *admin.RoomKeys) {
	for _, r := range snap.Rooms.Value {
		if string(r.ID) == id {
			row = r.Keys
		}
	}
	if snap.RoomID == id && snap.Room.Known() {
		all = snap.Room.Value.Keys
	}
	return row, all
}

func whyNoRekey(s State) string {
	id := roomOf(s)
	if id == "" {
		return "no room is selected"
	}
	switch row, all := keysOf(s.Snap, id); {
	case all != nil && all.Why != nil:
		return all.Why.Text
	case all != nil, row == nil: // the node knows
		return ""
	case row.State == admin.KeysArchived:
		return "the room " + id + " is archived: nothing is changed in it"
	case row.State == admin.KeysPlain:
		return "the room " + id + " is not encrypted: it has no key"
	case row.State != admin.KeysRekey:
		return "the room " + id + " needs no new key: only active members know the present one"
	}
	return ""
}

// asked is the member whom the dialog names; nil where the node chooses.
func asked(s State) *admin.RoomPerson {
	if _, all := keysOf(s.Snap, roomOf(s)); all != nil && len(all.Can) > 0 && len(all.Can[0].Nodes) > 0 {
		return &all.Can[0]
	}
	return nil
}

func askRekey(s State) Question {
	q := Question{Title: fmt.Sprintf("Ask for a new key of %s?", roomOf(s)), Confirm: "Ask"}
	_, all := keysOf(s.Snap, roomOf(s))
	if all != nil && all.MustRekey > 0 {
		q.Lines = append(q.Lines, fmt.Sprintf("Why: %s may not read any more and still %s the key.", these(all), verb(all.MustRekey, "knows", "know")))
	}
	if p := asked(s); p != nil {
		q.Lines = append(q.Lines, fmt.Sprintf("Asked is %s (%s), online at %s.", widget.Clean(p.Called()), p.Role, strings.Join(p.Nodes, ", ")))
	} else {
		q.Lines = append(q.Lines, "The node asks a member who is online and has the key: the owner first, then an admin.")
	}
	q.Lines = append(q.Lines, "Their program makes the key; no node or operator ever sees one. The room's epoch rises once it has.")
	return q
}

// these are the people for whom a new key is needed.
func these(k *admin.RoomKeys) string {
	if k.MustRekey == 1 && len(k.Know) == 1 {
		return widget.Clean(k.Know[0].Called())
	}
	return widget.Plural(k.MustRekey, "person", "people")
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func sameRekey(s State, _ []string) string {
	line := "unibusd room rekey " + Quoted(roomOf(s))
	if p := asked(s); p != nil {
		line += " --user " + string(p.User)
	}
	return line
}

// runRekey asks whom the dialog named, and nobody else.
func runRekey(ctx context.Context, c Client, s State, _ []string) (string, error) {
	req := admin.RekeyRequest{ID: roomOf(s)}
	if p := asked(s); p != nil {
		req.User = string(p.User)
	}
	a, err := c.RoomRekey(ctx, req)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was asked at %s; %s is at epoch %d until their program has made a key", a.Called(), strings.Join(a.Nodes, ", "), a.Room, a.Epoch), nil
}
