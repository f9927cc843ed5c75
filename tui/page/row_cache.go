package page

import (
	"time"

	"unibus/tui/theme"
)

// Memo remembers what rows were made from, so that they are not made again for
// every key: a list of ten thousand users takes longer than a key may.
type Memo struct{ last made }

type made struct {
	n      [2]uint64
	filter string
	open   string
	epoch  int64
	mode   theme.Mode
	known  bool
}

// Fresh is true where nothing has changed since it was last asked: the answers
// (by how many came in), the filter, the theme, what is open, and the time as
// far as ages show it. Otherwise the rows must be made anew.
func (m *Memo) Fresh(s Scene, every time.Duration, open string, answers ...uint64) bool {
	now := made{filter: s.Filter, open: open, epoch: s.Now.UnixNano() / int64(every), mode: s.Theme.Mode, known: true}
	copy(now.n[:], answers)
	if now == m.last {
		return true
	}
	m.last = now
	return false
}
