package widget

import "charm.land/lipgloss/v2"

// Overlay draws a box over the middle of a screen of w by h cells.
func Overlay(screen, box string, w, h int) string {
	bw, bh := lipgloss.Size(box)
	top := lipgloss.NewLayer(box).X(max(0, (w-bw)/2)).Y(max(0, (h-bh)/2)).Z(1)
	return lipgloss.NewCompositor(lipgloss.NewLayer(screen), top).Render()
}
