package theme

// Glyphs are the symbols of the console. A word always stands beside a glyph that
// shows a state.
type Glyphs struct {
	Healthy, Degraded, Critical, Absent, Unknown, Note string
	Leads                                              string // a replica that leads its bucket

	InProgress           string   // a timeline step that is running
	Rule                 string   // repeated to a horizontal rule
	Sparkline            []string // from low to high
	Bar                  []string // the last cell of a progress bar, from almost empty to full
	BarEmpty             string   // the part that is left
	Ellipsis             string
	Mark                 string // a marked row
	Cursor               string // the selected row
	SortedUp, SortedDown string // also: more lines below
	Equal                string
	Different            string
	Border               [6]string // ┌ ─ ┐ │ └ ┘
}

func unicodeGlyphs() Glyphs {
	return Glyphs{
		Healthy: "●", Degraded: "▲", Critical: "✖", Absent: "○", Unknown: "?", Note: "·", Leads: "◆",
		InProgress: "◐", Rule: "─",
		Sparkline: []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
		Bar:       []string{"╸", "━"},
		BarEmpty:  "─",
		Ellipsis:  "…", Mark: "✓", Cursor: ">", SortedUp: "↑", SortedDown: "↓",
		Equal: "=", Different: "≠",
		Border: [6]string{"┌", "─", "┐", "│", "└", "┘"},
	}
}

func asciiGlyphs() Glyphs {
	return Glyphs{
		Healthy: "+", Degraded: "!", Critical: "x", Absent: "-", Unknown: "?", Note: ".", Leads: "L",
		InProgress: "~", Rule: "-",
		Sparkline: []string{"_", ".", ":", "-", "=", "+", "*", "#"},
		Bar:       []string{"#"},
		BarEmpty:  ".", Ellipsis: "~", Mark: "*", Cursor: ">", SortedUp: "^", SortedDown: "v",
		Equal: "=", Different: "#",
		Border: [6]string{"+", "-", "+", "|", "+", "+"},
	}
}
