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

func (m *Page) roomDetail(rc page.RenderContext) string {
	if rc.Snapshot.RoomID != m.OpenID {
		return rc.Fit(rc.Paragraph(theme.Dim, "Waiting for "+m.OpenID+"."))
	}
	if wait := rc.WaitingLines(m.OpenID, rc.Snapshot.Room.Freshness); wait != nil {
		return rc.Fit(wait)
	}
	m.refreshMembers(rc)
	lines := rc.StaleLines(rc.Snapshot.Room.Freshness, page.ListMaxAge)
	facts := append(append(titleLines(rc), ""), factLines(rc)...)
	facts = append(append(facts, m.membersListed(rc)...), "")
	if m.members.IsStale = len(lines) > 0 && rc.Snapshot.Room.Stale(rc.Now, page.ListMaxAge); m.members.IsStale {
		facts = rc.Dim(facts)
	}
	lines = append(lines, facts...)
	return rc.Fit(append(lines, m.members.View(rc.Theme, rc.Width, rc.Height-len(lines))))
}

// titleLines are the room's name and the state of its key.
func titleLines(rc page.RenderContext) []string {
	d := rc.Snapshot.Room.Value
	title := string(d.Room.ID)
	if d.Room.Name != nil && *d.Room.Name != "" && *d.Room.Name != string(d.Room.ID) {
		title += "  " + *d.Room.Name
	}
	return append(rc.Paragraph(theme.Strong, title), keyStateLines(rc)...)
}

func keyStateLines(rc page.RenderContext) []string {
	d, g := rc.Snapshot.Room.Value, rc.Theme.Glyphs
	k := d.Keys
	if k == nil { // an older node
		k = &admin.RoomKeys{}
	}
	switch k.State {
	case admin.KeysRekey:
		holders := "a removed, revoked or expired user still knows"
		if k.MustRekey > 1 {
			holders = widget.FormatCount(k.MustRekey) + " removed, revoked or expired users still know"
		}
		lines := rc.Paragraph(theme.Warn, fmt.Sprintf("%s Rekey required: %s the key of epoch %d.", g.Degraded, holders, d.Room.Epoch))
		return append(lines, rekeyAdvice(rc, k)...)
	case admin.KeysMissing:
		if text := k.NoHolderText(d.Room.Epoch); text != "" {
			return rc.Paragraph(theme.Warn, g.Degraded+" "+widget.Sentence(text))
		}
		text := "1 active member has no key and cannot read. A member with the key must seal it to them."
		if k.Unkeyed > 1 {
			text = widget.FormatCount(k.Unkeyed) + " active members have no key and cannot read. A member with the key must seal it to them."
		}
		return rc.Paragraph(theme.Warn, g.Degraded+" "+text)
	case admin.KeysOK:
		return rc.Paragraph(theme.Good, g.Healthy+" Only the active members have the current key, and all of them do.")
	case admin.KeysPlain:
		return rc.Paragraph(theme.Plain, "This room is not encrypted: servers can read its messages.")
	case admin.KeysArchived:
		return rc.Paragraph(theme.Plain, "This room is archived: neither it nor its key can be changed.")
	}
	return rc.Paragraph(theme.Dim, g.Unknown+" The state of the key is not known: "+rc.Snapshot.Node+" does not report it.")
}

// rekeyAdvice is the next step for a room that needs a new key.
func rekeyAdvice(rc page.RenderContext, k *admin.RoomKeys) []string {
	switch {
	case k.CannotAsk != nil:
	case rc.UnselectedInput.ReadOnly || rc.Snapshot.Status.Value.Operator.Role != core.OperatorAdmin:
		return rc.Paragraph(theme.Accent, "Do: let an admin ask an online member for a new key: "+
			rc.UnselectedInput.WithFlags("unibusd room rekey "+string(rc.Snapshot.Room.Value.Room.ID)))
	default:
		return rc.Paragraph(theme.Accent, "Do: press "+rc.ActionKey("room rekey")+" to ask an online member for a new key. Only members can create one.")
	}
	lines := rc.Paragraph(theme.Plain, widget.Sentence(k.CannotAsk.Text))
	if k.CannotAsk.Next != "" {
		lines = append(lines, rc.Paragraph(theme.Accent, "Do: "+k.CannotAsk.Next)...)
	}
	return lines
}

// factLines are the numbers of a room, and the people behind them.
func factLines(rc page.RenderContext) []string {
	d := rc.Snapshot.Room.Value
	f := page.LabeledLines{Context: rc, LabelWidth: 11}
	f.Add("members", widget.FormatCount(d.Count)+rc.Paint(theme.Dim, "   created "+rc.FormatMillis(d.Room.Created)))
	k := d.Keys
	if !d.Room.Encrypted || k == nil {
		return f.Lines
	}
	epoch := fmt.Sprint(d.Room.Epoch)
	if k.Since != 0 {
		epoch += "   for " + widget.FormatDuration(rc.AgeOf(k.Since)) + rc.Paint(theme.Dim, "   since "+rc.FormatMillis(k.Since))
	}
	f.Add("epoch", epoch)
	addChain(&f, rc)
	if k.State == admin.KeysArchived {
		return f.Lines
	}
	f.Add("still know", peopleText(rc, k.StillKnow, k.MustRekey, 0))
	f.Add("without key", peopleText(rc, k.WithoutKey, k.Unkeyed, 0))
	f.Add("could rekey", rekeyersText(rc, k))
	return f.Lines
}

// rekeyersText counts the members that could make a new key, and names those
// online.
func rekeyersText(rc page.RenderContext, k *admin.RoomKeys) string {
	if k.CanCount == 0 {
		return rc.Paint(theme.Warn, "nobody")
	}
	text := fmt.Sprintf("%s, %s online", widget.FormatCount(k.CanCount), widget.FormatCount(k.Online))
	var online []admin.RoomPerson
	for _, p := range k.CanRekey {
		if len(p.Nodes) > 0 {
			online = append(online, p)
		}
	}
	if len(online) > 0 {
		text += ": " + peopleText(rc, online, k.Online, widget.Width(text)+2)
	}
	if len(k.Silent) > 0 {
		text += rc.Paint(theme.Dim, "   "+rc.Theme.Glyphs.Unknown+" "+strings.Join(k.Silent, ", ")+" did not answer")
	}
	return text
}

// peopleText lists as many people as fit into a line of which used cells are
// taken.
func peopleText(rc page.RenderContext, listed []admin.RoomPerson, total, used int) string {
	const label, more = 15, 14
	width := rc.Width - label - more - used
	text := ""
	for i, p := range listed {
		person := personName(rc, p) + personNote(p)
		if i > 0 {
			person = ", " + person
		}
		if i > 0 && widget.Width(text)+widget.Width(person) > width {
			return fmt.Sprintf("%s and %s more", text, widget.FormatCount(total-i))
		}
		text += person
	}
	if n := total - len(listed); n > 0 {
		text += fmt.Sprintf(" and %s more", widget.FormatCount(n))
	}
	return text
}

func personName(rc page.RenderContext, p admin.RoomPerson) string {
	if p.Name == nil || strings.TrimSpace(*p.Name) == "" {
		return widget.TruncateMiddle(rc.Theme, string(p.User), 9)
	}
	return widget.Truncate(rc.Theme, core.ShownName(*p.Name), 24)
}

func personNote(p admin.RoomPerson) string {
	switch {
	case p.Status == core.UserRevoked:
		return " (revoked)"
	case p.Status == core.UserExpired:
		return " (expired)"
	case p.Role == "":
		return " (removed)"
	case len(p.Nodes) > 0:
		return " (" + string(p.Role) + ", " + strings.Join(p.Nodes, " ") + ")"
	}
	return ""
}
