package tui

import "time"

// hold keeps the picture as it is, or lets it go on.
func (m *Model) hold() {
	if !m.paused.IsZero() {
		m.goOn()
		return
	}
	m.paused, m.held = m.cfg.Now(), m.page().Want()
	m.now = m.paused
}

// goOn ends hold.
func (m *Model) goOn() {
	if m.paused.IsZero() {
		return
	}
	m.paused, m.dirty = time.Time{}, true
	m.refresh()
}
