package tuitest

import (
	"bufio"
	"fmt"
	"html"
	"image/color"
	"io"

	uv "github.com/charmbracelet/ultraviolet"
)

// The picture's measures: JetBrains Mono is 0.6 em wide.
const (
	cellW, cellH = 8.4, 18.0
	fontSize     = 14
	margin       = 14.0
)

// Paper is the colours of a terminal that has none of its own to say.
type Paper struct{ Ink, Ground color.Color }

// DarkPaper and LightPaper are the grounds of screenshots.
func DarkPaper() Paper {
	return Paper{Ink: color.RGBA{0xd6, 0xd8, 0xdc, 0xff}, Ground: color.RGBA{0x14, 0x16, 0x1a, 0xff}}
}

// LightPaper is dark ink on a light ground.
func LightPaper() Paper {
	return Paper{Ink: color.RGBA{0x22, 0x24, 0x28, 0xff}, Ground: color.RGBA{0xfc, 0xfc, 0xfa, 0xff}}
}

// Grid is a picture of a terminal's cells.
type Grid struct {
	W, H  int
	Cells [][]uv.Cell // by row; the cell behind a wide one is empty
}

// Cells copies what the terminal shows.
func (t *Term) Cells() Grid {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := Grid{W: t.w, H: t.h}
	for y := range t.h {
		row := make([]uv.Cell, t.w)
		for x := range t.w {
			if c := t.emu.CellAt(x, y); c != nil {
				row[x] = *c
			}
		}
		g.Cells = append(g.Cells, row)
	}
	return g
}

// SVG writes the cells as a picture.
func (g Grid) SVG(w io.Writer, p Paper) error {
	b := bufio.NewWriter(w)
	width, height := float64(g.W)*cellW+2*margin, float64(g.H)*cellH+2*margin
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.1f" height="%.1f" viewBox="0 0 %.1f %.1f" font-family="JetBrains Mono, Noto Sans Mono CJK JP, DejaVu Sans Mono, monospace" font-size="%d">`+"\n", width, height, width, height, fontSize)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", rgb(p.Ground))
	for y, row := range g.Cells {
		for x := 0; x < len(row); {
			x = g.run(b, p, row, x, y)
		}
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

// run draws the cells from x that look alike and returns where the next run begins.
func (g Grid) run(w io.Writer, p Paper, row []uv.Cell, x, y int) int {
	first, text, end := row[x], "", x
	for end < len(row) && row[end].Style.Equal(&first.Style) {
		c := row[end]
		if end > x && alone(c) {
			break // it has a run of its own, so that what is behind it stays in its cells
		}
		if c.Content == "" {
			c.Content = " "
		}
		text += c.Content
		end += max(1, c.Width)
		if alone(c) {
			break
		}
	}
	ink, ground, opacity := look(p, first.Style)
	left, top, width := margin+float64(x)*cellW, margin+float64(y)*cellH, float64(end-x)*cellW
	if ground != "" {
		fmt.Fprintf(w, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" shape-rendering="crispEdges"/>`+"\n", left, top, width, cellH, ground)
	}
	if blank(text) {
		return end
	}
	if shape(w, text, left, top, ink) {
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
		left, top+13.5, width, ink, opacity, weight, line, html.EscapeString(text))
	return end
}

func look(p Paper, s uv.Style) (ink, ground, opacity string) {
	fg, bg := p.Ink, color.Color(nil)
	if s.Fg != nil {
		fg = s.Fg
	}
	if s.Bg != nil {
		bg = s.Bg
	}
	if s.Attrs&uv.AttrReverse != 0 {
		if bg == nil {
			bg = p.Ground
		}
		fg, bg = bg, fg
	}
	if s.Attrs&uv.AttrFaint != 0 {
		opacity = ` fill-opacity="0.6"`
	}
	if bg != nil {
		ground = rgb(bg)
	}
	return rgb(fg), ground, opacity
}

func blank(s string) bool {
	for _, r := range s {
		if r != ' ' {
			return false
		}
	}
	return true
}

func rgb(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// alone is true of what is not drawn as a part of a longer text: wide
// characters, and the signs that few fonts hold at the width of a cell.
func alone(c uv.Cell) bool { return c.Width > 1 || shapes[c.Content] != "" }

// shapes are drawn and not written; %[1]v and %[2]v are the middle of the cell, %[3]s is the ink.
var shapes = map[string]string{
	"●": `<circle cx="%[1]v" cy="%[2]v" r="4" fill="%[3]s"/>`,
	"○": `<circle cx="%[1]v" cy="%[2]v" r="3.6" fill="none" stroke="%[3]s"/>`,
	"◐": `<circle cx="%[1]v" cy="%[2]v" r="3.6" fill="none" stroke="%[3]s"/><path transform="translate(%[1]v %[2]v)" d="M0 -3.6 A3.6 3.6 0 0 0 0 3.6 Z" fill="%[3]s"/>`,
	"│": `<rect transform="translate(%[1]v %[2]v)" x="-0.6" y="-9" width="1.2" height="18" fill="%[3]s"/>`,
}

func shape(w io.Writer, text string, left, top float64, ink string) bool {
	format := shapes[text]
	if format != "" {
		fmt.Fprintf(w, format+"\n", left+cellW/2, top+cellH/2, ink)
	}
	return format != ""
}
