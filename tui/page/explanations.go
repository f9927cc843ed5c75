package page

import (
	"strings"

	"unibus/core"
	"unibus/tui/theme"
)

// Explanations are what those words mean that only this program has, as far as they are on the screen; a
// panel beside a page does not repeat them.
func (rc RenderContext) Explanations(showsGeneration bool) []string {
	st := rc.Snapshot.Status.Value
	if rc.IsPanel || st.Authority == nil || st.Authority.Backend != core.BackendKV { // nothing is proven by a majority then
		return nil
	}
	text := []string{"PROVEN: age of the last proof by a majority; idle: nobody has asked."}
	if showsGeneration {
		text = append(text, "Generation: grows when another store takes over.")
	}
	return append([]string{""}, rc.Paragraph(theme.Faint, strings.Join(text, " "))...)
}
