package rooms

import (
	"fmt"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

func (m *Model) detail(s page.Scene) string {
	if s.Snap.RoomID != m.OpenID {
		return s.Keep(s.Prose(theme.Dim, "Waiting for "+m.OpenID+"."))
	}
	if wait := s.Await(m.OpenID, s.Snap.Room.Freshness); wait != nil {
		return s.Keep(wait)
	}
	m.loadMembers(s)
	lines := s.Stale(s.Snap.Room.Freshness, page.FreshList)
	lines = append(lines, head(s)...)
	lines = append(append(lines, ""), sections(s)...)
	lines = append(lines, m.listed(s)...)
	lines = append(lines, "")
	return s.Keep(append(lines, m.members.View(s.Theme, s.W, s.H-len(lines))))
}

// head is the room's name and, in a sentence, how it stands with its key.
func head(s page.Scene) []string {
	d := s.Snap.Room.Value
	title := string(d.Room.ID)
	if d.Room.Name != nil && *d.Room.Name != "" && *d.Room.Name != string(d.Room.ID) {
		title += "  " + *d.Room.Name
	}
	return append(s.Prose(theme.Strong, title), verdict(s)...)
}

func verdict(s page.Scene) []string {
	d, g := s.Snap.Room.Value, s.Theme.Glyphs
	k := d.Keys
	if k == nil { // an older node
		k = &admin.RoomKeys{}
	}
	switch k.State {
	case admin.KeysRekey:
		who := "somebody removed or revoked still knows"
		if k.MustRekey > 1 {
			who = widget.Count(k.MustRekey) + " people removed or revoked still know"
		}
		lines := s.Prose(theme.Warn, fmt.Sprintf("%s Rekey required: %s the key of epoch %d.", g.Degraded, who, d.Room.Epoch))
		return append(lines, do(s, k)...)
	case admin.KeysMissing:
		if text := k.Nobody(d.Room.Epoch); text != "" {
			return s.Prose(theme.Warn, g.Degraded+" "+sentence(text))
		}
		text := "1 active member has no key and cannot read: a member who has it must seal it to them."
		if k.Unkeyed > 1 {
			text = widget.Count(k.Unkeyed) + " active members have no key and cannot read: a member who has it must seal it to them."
		}
		return s.Prose(theme.Warn, g.Degraded+" "+text)
	case admin.KeysOK:
		return s.Prose(theme.Good, g.Healthy+" Every active member has the current key, and nobody else.")
	case admin.KeysPlain:
		return s.Prose(theme.Plain, "It is not encrypted: servers can read what is said.")
	case admin.KeysArchived:
		return s.Prose(theme.Plain, "It is archived: nothing is changed in it any more, its key neither.")
	}
	return s.Prose(theme.Dim, g.Unknown+" How it stands with its key is not known: "+s.Snap.Node+" does not say.")
}

// do is what an operator can do about a key that is due.
func do(s page.Scene, k *admin.RoomKeys) []string {
	switch {
	case k.Why != nil:
	case s.State.ReadOnly || s.Snap.Status.Value.Operator.Role != core.OperatorAdmin:
		return s.Prose(theme.Accent, "Do: an admin asks a member who is online: unibusd room rekey "+string(s.Snap.Room.Value.Room.ID))
	default:
		return s.Prose(theme.Accent, "Do: r asks a member who is online for a new key. Only members can make one.")
	}
	lines := s.Prose(theme.Plain, sentence(k.Why.Text))
	if k.Why.Next != "" {
		lines = append(lines, s.Prose(theme.Accent, "Do: "+k.Why.Next+".")...)
	}
	return lines
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// sections are the figures, and the people that they are about.
func sections(s page.Scene) []string {
	d := s.Snap.Room.Value
	f := page.Facts{Scene: s, Label: 11}
	f.Add("members", widget.Count(d.Count)+s.P(theme.Dim, "   created "+s.Clock(d.Room.Created)))
	k := d.Keys
	if !d.Room.Encrypted || k == nil {
		return f.Lines
	}
	epoch := fmt.Sprint(d.Room.Epoch)
	if k.Since != 0 {
		epoch += "   for " + widget.Span(s.Since(k.Since)) + s.P(theme.Dim, "   since "+s.Clock(k.Since))
	}
	f.Add("epoch", epoch)
	if k.State == admin.KeysArchived {
		return f.Lines
	}
	f.Add("still know", people(s, k.Know, k.MustRekey, 0))
	f.Add("without key", people(s, k.Lack, k.Unkeyed, 0))
	f.Add("could rekey", able(s, k))
	return f.Lines
}

// able is who could make a new key, and who of them is online.
func able(s page.Scene, k *admin.RoomKeys) string {
	if k.CanCount == 0 {
		return s.P(theme.Warn, "nobody")
	}
	text := fmt.Sprintf("%s, %s online", widget.Count(k.CanCount), widget.Count(k.Online))
	var online []admin.RoomPerson
	for _, p := range k.Can {
		if len(p.Nodes) > 0 {
			online = append(online, p)
		}
	}
	if len(online) > 0 {
		text += ": " + people(s, online, k.Online, widget.Width(text)+2)
	}
	if len(k.Silent) > 0 {
		text += s.P(theme.Dim, "   "+s.Theme.Glyphs.Unknown+" "+strings.Join(k.Silent, ", ")+" did not say")
	}
	return text
}

// people are names with what is to be said of each, as many as fit into the rest
// of a line of which used cells are taken.
func people(s page.Scene, who []admin.RoomPerson, all, used int) string {
	const label, more = 15, 14
	room := s.W - label - more - used
	text := ""
	for i, p := range who {
		one := called(s, p) + note(p)
		if i > 0 {
			one = ", " + one
		}
		if i > 0 && widget.Width(text)+widget.Width(one) > room {
			return fmt.Sprintf("%s and %s more", text, widget.Count(all-i))
		}
		text += one
	}
	if n := all - len(who); n > 0 {
		text += fmt.Sprintf(" and %s more", widget.Count(n))
	}
	return text
}

func called(s page.Scene, p admin.RoomPerson) string {
	if p.Name == nil || strings.TrimSpace(*p.Name) == "" {
		return widget.Middle(s.Theme, string(p.User), 9)
	}
	return widget.Cut(s.Theme, widget.Clean(*p.Name), 24)
}

func note(p admin.RoomPerson) string {
	switch {
	case p.Status == core.UserRevoked:
		return " (revoked)"
	case p.Role == "":
		return " (removed)"
	case len(p.Nodes) > 0:
		return " (" + string(p.Role) + ", " + strings.Join(p.Nodes, " ") + ")"
	}
	return ""
}
