package widget_test

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"unibus/tui/theme"
	"unibus/tui/widget"
)

// TestSelectedRowKeepsTheColorOfItsState: the row under the cursor is often the one that is down.
func TestSelectedRowKeepsTheColorOfItsState(t *testing.T) {
	t.Parallel()
	th := theme.New(theme.Dark, false)
	table := widget.NewTable("none", widget.Column{Title: "NODE"}, widget.Column{Title: "META"}, widget.Column{Title: "CERT"})
	table.SetRows([]widget.Row{{Key: "n3", Cells: []widget.Cell{{Text: "○ n3", Tone: theme.Bad}, {Text: "down"}, {Text: "expired", Tone: theme.Warn}}}}, "")
	row := strings.Split(table.View(th, 60, 3), "\n")[1]
	if got, want := ansi.Strip(row), " > ○ n3  down  expired "; got != want {
		t.Errorf("the row is %q, want %q", got, want)
	}
	for tone, text := range map[theme.Tone]string{theme.Bad: "○ n3", theme.Warn: "expired"} {
		if want := th.SelectedState(tone).Render(text); !strings.Contains(row, want) {
			t.Errorf("%q is not in its color: %q", text, row)
		}
	}
	if want := th.SelectedRow.Render("  down  "); !strings.Contains(row, want) {
		t.Errorf("what shows no state is not plain: %q", row)
	}
	table.HidesCursor = true
	if got := ansi.Strip(table.View(th, 60, 3)); strings.Contains(got, ">") {
		t.Errorf("a table that is looked at only has a cursor:\n%s", got)
	}
}
