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
	variant   string
	timeStep  int64
	themeMode theme.Mode
	isSet     bool
}

// Update notes the inputs. It returns true if one has changed since the last call:
// answers, filter, theme, the variant of the list (the open row, or the order), or the
// time in steps of maxAge. The caller must then rebuild the rows.
func (m *RowCache) Update(rc RenderContext, maxAge time.Duration, variant string, answers uint64) (changed bool) {
	inputs := rowInputs{answers: answers, filter: rc.Filter, variant: variant, timeStep: rc.Now.UnixNano() / int64(maxAge), themeMode: rc.Theme.Mode, isSet: true}
	if inputs == m.last {
		return false
	}
	m.last = inputs
	return true
}
