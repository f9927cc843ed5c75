package tui

import (
	"time"

	"unibus/tui/feed"
)

// togglePause stops or resumes the updates of the screen.
func (m *Model) togglePause() {
	if !m.pausedAt.IsZero() {
		m.resume()
		return
	}
	m.pausedAt, m.pausedSubscription = m.cfg.Now(), m.currentPage().Subscription(m.renderContext())
	m.drawnAt = m.pausedAt
}

// resume ends a pause.
func (m *Model) resume() {
	if m.pausedAt.IsZero() {
		return
	}
	m.pausedAt, m.dirty = time.Time{}, true
	m.refreshSnapshot()
}

// missingInPause says what the screen would show and the paused snapshot lacks: another page, other users, or a
// room that was opened. It returns "" for every other step, which shows what the snapshot has.
func (m *Model) missingInPause(wanted feed.Subscription, isOtherPage bool) string {
	lists := wanted
	lists.Room = "" // it is a case of its own
	switch {
	case m.pausedAt.IsZero():
	case isOtherPage && m.feed.ShowsMore(m.pausedSubscription, lists):
		return "page"
	case wanted.Users != nil && m.snapshot.Users.Known() && !m.snapshot.HasUsersOnScreen(wanted.Users):
		return "part of the list"
	case wanted.Rooms != nil && wanted.Rooms.Rows > 0 && m.snapshot.Rooms.Known() && !m.snapshot.HasRoomsOnScreen(wanted.Rooms):
		return "part of the list"
	case wanted.RoomIsOpen && wanted.Room != m.snapshot.RoomID:
		return "room"
	}
	return ""
}
