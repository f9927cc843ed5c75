package tuitest

import (
	"bufio"
	"fmt"
	"html"
	"image/color"
	"io"

	uv "github.com/charmbracelet/ultraviolet"
)

// The sizes of the image. JetBrains Mono is 0.6 em wide.
const (
	cellWidth, cellHeight = 8.4, 18.0
	fontSize              = 14
	margin                = 14.0
)

// Colors are a terminal's default colors.
type Colors struct{ foreground, background color.Color }

// DarkColors are light text on a dark background.
func DarkColors() Colors {
	return Colors{foreground: color.RGBA{0xd6, 0xd8, 0xdc, 0xff}, background: color.RGBA{0x14, 0x16, 0x1a, 0xff}}
}

// LightColors are dark text on a light background.
func LightColors() Colors {
	return Colors{foreground: color.RGBA{0x22, 0x24, 0x28, 0xff}, background: color.RGBA{0xfc, 0xfc, 0xfa, 0xff}}
}

// Grid is a copy of a terminal's cells.
type Grid struct {
	width, height int
	rows          [][]uv.Cell // the cell after a wide one is empty
}

// Cells copies the visible cells.
func (t *Terminal) Cells() Grid {
	t.lock.Lock()
	defer t.lock.Unlock()
	g := Grid{width: t.width, height: t.height}
	for y := range t.height {
		row := make([]uv.Cell, t.width)
		for x := range t.width {
			if c := t.emulator.CellAt(x, y); c != nil {
				row[x] = *c
			}
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// SVG writes the cells as an image.
func (g Grid) SVG(w io.Writer, p Colors) error {
	b := bufio.NewWriter(w)
	width, height := float64(g.width)*cellWidth+2*margin, float64(g.height)*cellHeight+2*margin
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.1f" height="%.1f" viewBox="0 0 %.1f %.1f" font-family="JetBrains Mono, Noto Sans Mono CJK JP, DejaVu Sans Mono, monospace" font-size="%d">`+"\n", width, height, width, height, fontSize)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", hexColor(p.background))
	for y, row := range g.rows {
		for x := 0; x < len(row); {
			x = g.drawRun(b, p, row, x, y)
		}
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

// drawRun draws the cells from x that share a style and returns the start of the
// next run.
func (g Grid) drawRun(w io.Writer, p Colors, row []uv.Cell, x, y int) int {
	first, text, end := row[x], "", x
	for end < len(row) && row[end].Style.Equal(&first.Style) {
		c := row[end]
		if end > x && isDrawnAlone(c) {
			break // a run of its own keeps the following text in its cells
		}
		if c.Content == "" {
			c.Content = " "
		}
		text += c.Content
		end += max(1, c.Width)
		if isDrawnAlone(c) {
			break
		}
	}
	foreground, background, opacity := resolveStyle(p, first.Style)
	left, top, width := margin+float64(x)*cellWidth, margin+float64(y)*cellHeight, float64(end-x)*cellWidth
	if background != "" {
		fmt.Fprintf(w, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" shape-rendering="crispEdges"/>`+"\n", left, top, width, cellHeight, background)
	}
	if isBlank(text) {
		return end
	}
	if drawShape(w, text, left, top, foreground) {
		return end
	}
	weight, line := "", ""
	if first.Style.Attrs&uv.AttrBold != 0 {
		weight = ` font-weight="bold"`
	}
	if first.Style.Underline != uv.UnderlineNone {
		line = ` text-decoration="underline"`
	}
	fmt.Fprintf(w, `<text x="%.1f" y="%.1f" textLength="%.1f" fill="%s"%s%s%s xml:space="preserve">%s</text>`+"\n",
		left, top+13.5, width, foreground, opacity, weight, line, html.EscapeString(text))
	return end
}

func resolveStyle(p Colors, s uv.Style) (foreground, background, opacity string) {
	fg, bg := p.foreground, color.Color(nil)
	if s.Fg != nil {
		fg = s.Fg
	}
	if s.Bg != nil {
		bg = s.Bg
	}
	if s.Attrs&uv.AttrReverse != 0 {
		if bg == nil {
			bg = p.background
		}
		fg, bg = bg, fg
	}
	if s.Attrs&uv.AttrFaint != 0 {
		opacity = ` fill-opacity="0.6"`
	}
	if bg != nil {
		background = hexColor(bg)
	}
	return hexColor(fg), background, opacity
}

func isBlank(s string) bool {
	for _, r := range s {
		if r != ' ' {
			return false
		}
	}
	return true
}

func hexColor(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// isDrawnAlone is true for wide characters and for glyphs that few fonts have in
// the width of a cell.
func isDrawnAlone(c uv.Cell) bool { return c.Width > 1 || shapes[c.Content] != "" }

// shapes are drawn and not written; %[1]v and %[2]v are the middle of the cell, %[3]s is the color.
var shapes = map[string]string{
	"●": `<circle cx="%[1]v" cy="%[2]v" r="4" fill="%[3]s"/>`,
	"○": `<circle cx="%[1]v" cy="%[2]v" r="3.6" fill="none" stroke="%[3]s"/>`,
	"◐": `<circle cx="%[1]v" cy="%[2]v" r="3.6" fill="none" stroke="%[3]s"/><path transform="translate(%[1]v %[2]v)" d="M0 -3.6 A3.6 3.6 0 0 0 0 3.6 Z" fill="%[3]s"/>`,
	"│": `<rect transform="translate(%[1]v %[2]v)" x="-0.6" y="-9" width="1.2" height="18" fill="%[3]s"/>`,
}

func drawShape(w io.Writer, text string, left, top float64, foreground string) bool {
	format := shapes[text]
	if format != "" {
		fmt.Fprintf(w, format+"\n", left+cellWidth/2, top+cellHeight/2, foreground)
	}
	return format != ""
}
