package tui

import "time"

// togglePause stops or resumes the updates of the screen.
func (m *Model) togglePause() {
	if !m.pausedAt.IsZero() {
		m.resume()
		return
	}
	m.pausedAt, m.pausedSubscription = m.cfg.Now(), m.currentPage().Subscription()
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
