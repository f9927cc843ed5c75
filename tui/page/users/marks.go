package users

import (
	"fmt"
	"slices"

	"unibus/core"
	"unibus/tui/page"
	"unibus/tui/widget"
)

// HandleKey also marks: m the user under the cursor, M all that are listed, or none.
func (m *Page) HandleKey(rc page.RenderContext, key string) page.KeyResult {
	m.RefreshRows(rc)
	switch marked := m.Table.MarkedKeys(); {
	case m.OpenID != "":
	case key == "M":
		return page.KeyResult{Handled: true, Notice: m.toggleAllMarks(rc)}
	case key == "m" && len(marked) >= maxMarks && !slices.Contains(marked, m.Table.SelectedKey()):
		return page.KeyResult{Handled: true, Notice: fmt.Sprintf("%s users are marked, and no more can be at once.", widget.FormatCount(len(marked)))}
	}
	m.marksAll = false
	return m.List.HandleKey(rc, key)
}

// toggleAllMarks marks the users that match the filter, or removes all marks if one of
// these users has one. It returns why it does neither.
func (m *Page) toggleAllMarks(rc page.RenderContext) string {
	listed, marked := m.Table.Len(), len(m.Table.MarkedKeys())
	switch {
	case m.ClearMarks(rc):
		return ""
	case m.isAwaited(rc):
		return "The users are awaited: try again once they are listed."
	case listed+marked > maxMarks:
		return fmt.Sprintf("%s are listed, and %s can be marked at once: filter them with /.", widget.Plural(listed, "user", "users"), widget.FormatCount(maxMarks-marked))
	}
	m.marksAll = true
	m.markLoaded(rc.Snapshot.Users.Value)
	return ""
}

// markLoaded marks the whole list after M, once all of it is there.
func (m *Page) markLoaded(p core.UserPage) {
	if !m.marksAll || p.Total > maxMarks {
		m.marksAll = false
		return
	}
	if p.Offset > 0 || len(p.Users) < p.Total {
		return
	}
	m.marksAll = false
	for _, u := range p.Users {
		m.Table.Mark([]string{string(u.ID)})
	}
}

// listedMarks are the marked users that match the filter, in the order of the list.
func (m *Page) listedMarks(rc page.RenderContext, marked []string) []string {
	q, now := m.query(rc), core.MillisOf(rc.Now)
	selects, _ := q.Selector(now) // the prompt takes no filter that cannot be read
	var listed []*core.User
	for _, id := range marked {
		if u, known := rc.Snapshot.User(core.UserID(id)); known && selects(&u) {
			listed = append(listed, &u)
		}
	}
	slices.SortFunc(listed, q.Compare)
	out := make([]string, len(listed))
	for i, u := range listed {
		out[i] = string(u.ID)
	}
	return out
}

// dropGoneMarks removes the marks of users that do not exist any more.
func (m *Page) dropGoneMarks(rc page.RenderContext) {
	for _, id := range rc.Snapshot.UsersRequest.Named {
		if _, exists := rc.Snapshot.User(id); !exists {
			m.Table.Unmark([]string{string(id)})
		}
	}
}
