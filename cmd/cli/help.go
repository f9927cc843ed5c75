package cli

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The widths of help, in cells.
const (
	pipedWidth = 120 // where no terminal shows it, and at most
	usualWidth = 80  // in a terminal that does not know its size
	leastWidth = 20  // in one that is too narrow to read
)

// helpWidth is how many cells a line of help may take on w. A terminal of 0 columns does not know its size.
func helpWidth(w io.Writer) int {
	file, ok := w.(term.File)
	if !ok || !term.IsTerminal(file.Fd()) {
		return pipedWidth
	}
	width, _, err := term.GetSize(file.Fd())
	if err != nil || width <= 0 {
		return usualWidth
	}
	return max(leastWidth, min(width, pipedWidth))
}

// PrintHelp writes the help of a command in lines of width cells. Examples stay in one line each, so that they can be copied.
// It asks the terminal nothing: one that does not answer would hold it up.
func PrintHelp(w io.Writer, c *cobra.Command, width int) {
	var b strings.Builder
	head := func(title string) { b.WriteString("\n" + lipgloss.NewStyle().Bold(true).Render(title) + "\n") }
	for _, line := range strings.Split(cmp.Or(c.Long, c.Short), "\n") {
		b.WriteString(strings.Join(wrapWords(line, width), "\n") + "\n")
	}
	head("USAGE")
	b.WriteString("  " + strings.Join(wrapWords(usageLine(c), width-4), "\n    ") + "\n")
	if c.Example != "" {
		head("EXAMPLES")
		for _, line := range strings.Split(strings.TrimSpace(c.Example), "\n") {
			b.WriteString("  " + strings.TrimRight(line, " ") + "\n")
		}
	}
	commands, flags := commandRows(c), flagRows(c)
	column := descriptionColumn(slices.Concat(commands, flags), width)
	for _, part := range []struct {
		title string
		rows  [][2]string
	}{{"COMMANDS", commands}, {"FLAGS", flags}} {
		if len(part.rows) > 0 {
			head(part.title)
			b.WriteString(drawRows(part.rows, column, width))
		}
	}
	_, _ = lipgloss.Fprint(w, b.String()) // a broken pipe has no reader
}

func usageLine(c *cobra.Command) string {
	line := strings.ReplaceAll(c.UseLine(), " [flags]", "")
	if c.HasAvailableSubCommands() {
		line += " [command]"
	}
	return line + " [--flags]"
}

// commandRows are the commands below c with what they do.
func commandRows(c *cobra.Command) (rows [][2]string) {
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			rows = append(rows, [2]string{sub.Use, sub.Short})
		}
	}
	return rows
}

// flagRows are the flags of c, its parents' as well, with what they do and their default.
func flagRows(c *cobra.Command) (rows [][2]string) {
	c.InitDefaultHelpFlag()
	c.InheritedFlags() // adds the parents' to Flags
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, does := "--"+f.Name, f.Usage
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + " " + name
		}
		if !slices.Contains([]string{"", "false", "0", "[]"}, f.DefValue) {
			does += " (" + f.DefValue + ")"
		}
		rows = append(rows, [2]string{name, does})
	})
	return rows
}

// descriptionColumn is where the descriptions stand, 0 if they stand below what they describe: a narrow terminal has no
// columns beside it.
func descriptionColumn(rows [][2]string, width int) int {
	column := 0
	for _, r := range rows {
		column = max(column, 2+ansi.StringWidth(r[0])+2)
	}
	if column > width/2 {
		return 0
	}
	return column
}

func drawRows(rows [][2]string, column, width int) string {
	var b strings.Builder
	for _, r := range rows {
		first, rest := r[1][:min(1, len(r[1]))], r[1][min(1, len(r[1])):]
		does := strings.ToUpper(first) + rest
		indent, gap := 6, "\n      "
		if column > 0 {
			indent, gap = column, strings.Repeat(" ", column-2-ansi.StringWidth(r[0]))
		}
		b.WriteString("  " + strings.Join(wrapWords(r[0], width-4), "\n    ") + gap)
		b.WriteString(strings.Join(wrapWords(does, width-indent), "\n"+strings.Repeat(" ", indent)) + "\n")
	}
	return b.String()
}

// wrapWords breaks a line at blanks only, so that a flag or a path stays whole.
func wrapWords(s string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(s) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case ansi.StringWidth(*last)+1+ansi.StringWidth(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
