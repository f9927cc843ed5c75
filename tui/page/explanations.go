package page

import "unibus/tui/theme"

// Explanations are what two words on the screen mean that only this program has; a panel beside a
// page does not repeat them.
func (rc RenderContext) Explanations() []string {
	if rc.IsPanel {
		return nil
	}
	text := "PROVEN: age of the last proof by a majority; idle: nobody has asked. Generation: grows when another store takes over."
	return append([]string{""}, rc.Paragraph(theme.Faint, text)...)
}
