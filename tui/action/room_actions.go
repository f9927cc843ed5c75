package action

import (
	"context"
	"fmt"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/feed"
	"unibus/tui/widget"
)

func roomActions() []Action {
	return []Action{{
		Name: "room rekey", Aliases: []string{"rekey"}, Key: "r", Scope: PageRooms, ArgumentKind: KindRoom, Confirmation: YesNo,
		Help:        "ask an online member for a new key of a room",
		Unavailable: rekeyUnavailable, Question: rekeyQuestion, Command: rekeyCommand, Run: runRekey,
	}}
}

// selectedRoom is the selected room, or the one whose members are shown.
func selectedRoom(s Input) string {
	if id := s.Selected.only(KindRoom); id != "" {
		return id
	}
	return s.Selected.Room
}

// roomKeys is what is known of a room's key: the summary of its row, and the
// detail if the room is open.
func roomKeys(snap *feed.Snapshot, id string) (summary *admin.KeyHealth, detail *admin.RoomKeys) {
	if r, listed := snap.ListedRoom(core.RoomID(id)); listed {
		summary = r.Keys
	}
	if snap.RoomID == id && snap.Room.Known() {
		detail = snap.Room.Value.Keys
	}
	return summary, detail
}

func rekeyUnavailable(s Input) string {
	id := selectedRoom(s)
	if id == "" {
		return nothingSelected(KindRoom)
	}
	switch summary, detail := roomKeys(s.Snapshot, id); {
	case detail != nil && detail.CannotAsk != nil:
		return detail.CannotAsk.Text
	case detail != nil, summary == nil: // the node will check
		return ""
	case summary.State == admin.KeysArchived:
		return "the room " + id + " is archived: it cannot be changed"
	case summary.State == admin.KeysPlain:
		return "the room " + id + " is not encrypted: it has no key"
	case summary.State != admin.KeysRekey:
		return "the room " + id + " needs no new key: only active members know the current one"
	}
	return ""
}

// memberToAsk is the member that the dialog names; nil if the node chooses.
func memberToAsk(s Input) *admin.RoomPerson {
	if _, detail := roomKeys(s.Snapshot, selectedRoom(s)); detail != nil && len(detail.CanRekey) > 0 && len(detail.CanRekey[0].Nodes) > 0 {
		return &detail.CanRekey[0]
	}
	return nil
}

func rekeyQuestion(s Input) Question {
	q := Question{Title: fmt.Sprintf("Ask for a new key of %s?", selectedRoom(s)), ConfirmLabel: "Ask"}
	_, detail := roomKeys(s.Snapshot, selectedRoom(s))
	if detail != nil && detail.MustRekey > 0 {
		q.Lines = append(q.Lines, fmt.Sprintf("Reason: %s must no longer read but still %s the key.", formerReaders(detail), pluralize(detail.MustRekey, "knows", "know")))
	}
	if p := memberToAsk(s); p != nil {
		q.Lines = append(q.Lines, fmt.Sprintf("The request goes to %s (%s), online on %s.", widget.Sanitize(p.Called()), p.Role, strings.Join(p.Nodes, ", ")))
	} else {
		q.Lines = append(q.Lines, "The node asks an online member with the key: the owner first, then an admin.")
	}
	q.Lines = append(q.Lines, "The member's client creates the key; no node or operator ever sees it. The room's epoch increases once that is done.")
	return q
}

// formerReaders are the users that must no longer read but still know the key.
func formerReaders(k *admin.RoomKeys) string {
	if k.MustRekey == 1 && len(k.StillKnow) == 1 {
		return widget.Sanitize(k.StillKnow[0].Called())
	}
	return widget.Plural(k.MustRekey, "user", "users")
}

func rekeyCommand(s Input, _ []string) string {
	line := "unibusd room rekey " + core.ShellQuote(selectedRoom(s))
	if p := memberToAsk(s); p != nil {
		line += " --user " + core.ShellQuote(string(p.User))
	}
	return line
}

// runRekey asks only the member that the dialog named.
func runRekey(ctx context.Context, c Client, s Input, _ []string) (string, error) {
	req := admin.RekeyRequest{ID: selectedRoom(s)}
	if p := memberToAsk(s); p != nil {
		req.User = string(p.User)
	}
	a, err := c.RoomRekey(ctx, req)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was asked on %s; %s stays at epoch %d until the client has created a key", a.Called(), strings.Join(a.Nodes, ", "), a.Room, a.Epoch), nil
}
