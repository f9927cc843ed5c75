package page

import (
	"time"

	"unibus/tui/theme"
)

// RowCache remembers the inputs of the rows. Rebuilding ten thousand rows for
// every key would delay the key.
type RowCache struct{ last rowInputs }

type rowInputs struct {
	answers   uint64
	filter    string
	openID    string
	timeStep  int64
	themeMode theme.Mode
	set       bool
}

// IsCurrent is true if no input has changed since the last call: answers, filter,
// theme, open row, and the time in steps of maxAge. Otherwise the caller must
// rebuild the rows.
func (m *RowCache) IsCurrent(rc RenderContext, maxAge time.Duration, openID string, answers uint64) bool {
	inputs := rowInputs{answers: answers, filter: rc.Filter, openID: openID, timeStep: rc.Now.UnixNano() / int64(maxAge), themeMode: rc.Theme.Mode, set: true}
	if inputs == m.last {
		return true
	}
	m.last = inputs
	return false
}
