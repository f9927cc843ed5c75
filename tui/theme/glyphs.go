package theme

// Glyphs are the console's own signs. Each has a word beside it wherever it stands for a state.
type Glyphs struct {
	Healthy, Degraded, Critical, Absent, Unknown, Note string

	Half      string   // a step of a timeline that is under way
	Rule      string   // a horizontal rule, repeated
	Sparks    []string // rising
	Bar       []string // the last cell of a progress bar, from almost empty to full
	BarEmpty  string   // what is not done yet
	Ellipsis  string
	Mark      string // a marked row
	Cursor    string // the selected row
	Up, Down  string // sort order
	Equal     string
	Different string
	Border    [6]string // ┌ ─ ┐ │ └ ┘
	Caret     string    // where typing goes
}

func unicode() Glyphs {
	return Glyphs{
		Healthy: "●", Degraded: "▲", Critical: "✖", Absent: "○", Unknown: "?", Note: "·",
		Half: "◐", Rule: "─",
		Sparks:   []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
		Bar:      []string{"╸", "━"},
		BarEmpty: "─",
		Ellipsis: "…", Mark: "✓", Cursor: ">", Up: "↑", Down: "↓",
		Equal: "=", Different: "≠",
		Border: [6]string{"┌", "─", "┐", "│", "└", "┘"},
		Caret:  "▏",
	}
}

func plain() Glyphs {
	return Glyphs{
		Healthy: "+", Degraded: "!", Critical: "x", Absent: "-", Unknown: "?", Note: ".",
		Half: "~", Rule: "-",
		Sparks:   []string{"_", ".", ":", "-", "=", "+", "*", "#"},
		Bar:      []string{"#"},
		BarEmpty: ".", Ellipsis: "~", Mark: "*", Cursor: ">", Up: "^", Down: "v",
		Equal: "=", Different: "#",
		Border: [6]string{"+", "-", "+", "|", "+", "+"},
		Caret:  "_",
	}
}
