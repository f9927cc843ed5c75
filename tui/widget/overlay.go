package widget

import "charm.land/lipgloss/v2"

// Over lays a box over the middle of a screen of w by h cells.
func Over(screen, box string, w, h int) string {
	bw, bh := lipgloss.Size(box)
	top := lipgloss.NewLayer(box).X(max(0, (w-bw)/2)).Y(max(0, (h-bh)/2)).Z(1)
	return lipgloss.NewCompositor(lipgloss.NewLayer(screen), top).Render()
}
