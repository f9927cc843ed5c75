package widget_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"unibus/tui/theme"
	"unibus/tui/widget"
)

var dark = theme.New(theme.Dark, false)

func TestCleanLeavesNothingThatMoves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := widget.Sanitize(rapid.String().Draw(r, "s"))
		if strings.ContainsAny(s, "\x1b\r\n\t\a\b\u202e\u2066\u200f\u009b") {
			t.Fatalf("%q", s)
		}
	})
	if got := widget.Sanitize("a\x1b[2J\nb\u202ec"); got != "a\uFFFD[2J b\uFFFDc" {
		t.Errorf("%q", got)
	}
}

func TestWrapFitsAndLosesNoWord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z日-]{1,12}`), 1, 30).Draw(r, "words")
		w := rapid.IntRange(2, 40).Draw(r, "w")
		lines := widget.Wrap(strings.Join(words, " "), w)
		for _, l := range lines {
			if widget.Width(l) > w {
				t.Fatalf("%q is wider than %d", l, w)
			}
		}
		if got, want := strings.Join(lines, ""), strings.Join(words, ""); strings.ReplaceAll(got, " ", "") != want {
			t.Fatalf("%q became %q", want, got)
		}
	})
	if got := widget.Wrap("run it with --tls-ca FILE", 16); len(got) != 2 || got[1] != "--tls-ca FILE" {
		t.Errorf("a flag was broken: %q", got)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		widget.FormatAge(400 * time.Millisecond): "0.4 s", widget.FormatAge(26 * time.Minute): "26 m", widget.FormatAge(3 * time.Hour): "3 h", widget.FormatAge(71 * 24 * time.Hour): "71 d", widget.FormatAge(-time.Second): "0.0 s",
		widget.FormatDuration(192 * time.Minute): "3 h 12 m", widget.FormatDuration(13 * time.Second): "13 s",
		widget.FormatSize(61e6): "61 MB", widget.FormatSize(14.2e6): "14.2 MB", widget.FormatSize(999): "999 B", widget.FormatSize(999_600): "1.0 MB",
		widget.FormatCount(1004): "1 004", widget.FormatCount(-1234567): "-1 234 567", widget.FormatCount(7): "7",
		widget.TruncateMiddle(dark, "UABCDEFGH", 5): "UA…GH", widget.Plural(1, "node", "nodes"): "1 node",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProgressBarAndSparkline(t *testing.T) {
	t.Parallel()
	if got := ansi.Strip(widget.ProgressBar(dark, 5, 10, 10)); got != "━━━━━─────" {
		t.Errorf("half is %q", got)
	}
	for _, c := range [][2]int{{0, 0}, {-1, 5}, {9, 5}, {5, 5}} {
		if got := ansi.Strip(widget.ProgressBar(dark, c[0], c[1], 7)); widget.Width(got) != 7 {
			t.Errorf("%d of %d is %q", c[0], c[1], got)
		}
	}
	if got := widget.Sparkline(dark, []float64{9, 0, 1, 2, 4}, 4); got != "▁▃▅█" {
		t.Errorf("sparkline %q", got)
	}
}

func newTable() *widget.Table {
	t := widget.NewTable("nothing", widget.Column{Title: "NAME"}, widget.Column{Title: "N", Right: true}, widget.Column{Title: "LAST", Min: 4})
	t.SetRows(newRows("a", "b", "c"), "")
	return t
}

func newRows(names ...string) []widget.Row {
	var out []widget.Row
	for i, n := range names {
		out = append(out, widget.Row{Key: n, Cells: []widget.Cell{{Text: "name-" + n}, widget.Number(float64(10-i), "9", "kB"), {Text: "something long about it"}}})
	}
	return out
}

func TestLastColumnShrinksFirst(t *testing.T) {
	t.Parallel()
	tb := newTable()
	for w, want := range map[int]string{60: "name-a  9 kB  something long about it", 30: "name-a  9 kB  something l…", 20: "name-a  9 kB ", 10: "name-a", 7: "na"} {
		got := ansi.Strip(tb.View(dark, w, 5))
		if !strings.Contains(got, want) || w < 16 && strings.Contains(got, "9") {
			t.Errorf("at %d:\n%s", w, got)
		}
		for _, l := range strings.Split(got, "\n") {
			if widget.Width(l) > w {
				t.Errorf("at %d: %q is too wide", w, l)
			}
		}
	}
}

func TestSelectionStaysOnItsRow(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.HandleKey("down")
	tb.SetRows(newRows("z", "y", "b"), "")
	if got := tb.SelectedKey(); got != "b" {
		t.Errorf("selected %q, want b although the rows moved", got)
	}
	tb.SetRows(newRows("z", "y"), "")
	if got := tb.SelectedKey(); got != "y" {
		t.Errorf("selected %q, want the row that took its place", got)
	}
	tb.SetRows(nil, "")
	if got := tb.SelectedKey(); got != "" {
		t.Errorf("selected %q in an empty table", got)
	}
}

func TestNumbersSortByValue(t *testing.T) {
	t.Parallel()
	tb := newTable()
	tb.HandleKey("s")
	tb.HandleKey("s") // N: c has 8, a has 10
	tb.HandleKey("home")
	if got := tb.SelectedKey(); got != "c" {
		t.Errorf("the least is %q, want c", got)
	}
}

func TestUnarmedDialogTakesOnlyEsc(t *testing.T) {
	t.Parallel()
	d := widget.NewDialog(widget.DialogSpec{Title: "Really?", ConfirmLabel: "Yes"})
	enter, y, esc := tea.KeyPressMsg{Code: tea.KeyEnter}, tea.KeyPressMsg{Code: 'y', Text: "y"}, tea.KeyPressMsg{Code: tea.KeyEscape}
	if d.HandleKey(y) != widget.StillOpen || d.HandleKey(enter) != widget.StillOpen {
		t.Error("an unarmed dialog took an answer")
	}
	d.AcceptKeys()
	if d.HandleKey(enter) != widget.Canceled {
		t.Error("Enter does not cancel at first")
	}
	if d.HandleKey(y) != widget.Confirmed {
		t.Error("y does not confirm")
	}
	if widget.NewDialog(widget.DialogSpec{}).HandleKey(esc) != widget.Canceled {
		t.Error("Esc does not cancel")
	}
}

func TestCountsInSentencesAreGrouped(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"5270 keys written.":                      "5 270 keys written.",
		"with 12345678 rows, 999 users":           "with 12 345 678 rows, 999 users",
		"(4193 members)":                          "(4193 members)", // the number is not a separate word
		"port 4222 of n1 in 2026":                 "port 4222 of n1 in 2026",
		"unibus-20261122-120428.db was kept":      "unibus-20261122-120428.db was kept",
		"4222 keys-file 0042 keys 1004":           "4222 keys-file 0042 keys 1004",
		"removed 1004 keys; 1000 users, and 2005": "removed 1 004 keys; 1 000 users, and 2005",
		"": "",
	} {
		if got := widget.GroupCounts(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for w := 8; w < 20; w++ {
		if got := strings.Join(widget.Wrap("with 12 345 678 rows, all of them", w), "|"); w >= 10 && !strings.Contains(got, "12 345 678") {
			t.Errorf("%d cells: %q", w, got)
		}
	}
}

func TestLongLabelLeavesSpaceForTheInput(t *testing.T) {
	t.Parallel()
	d := widget.NewDialog(widget.DialogSpec{Title: "Really?", ConfirmLabel: "Yes", Fields: []widget.Field{{Label: strings.Repeat("long ", 40), Hint: "here"}}})
	if got := ansi.Strip(d.View(dark, 80, 24)); !strings.Contains(got, "here") {
		t.Errorf("the input is not visible:\n%s", got)
	}
}

// TestTallDialogScrolls: every line of a body can be read, and the command stays in sight with the fields and
// the buttons.
func TestTallDialogScrolls(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 30 {
		lines = append(lines, "paragraph-"+strconv.Itoa(i)+"-")
	}
	for name, spec := range map[string]widget.DialogSpec{
		"fields":  {Lines: lines, ConfirmLabel: "Yes", Fields: []widget.Field{{Label: "name"}}, Command: func([]string) string { return "unibusd do it" }},
		"message": {Lines: lines},
		"command": {Lines: lines, ConfirmLabel: "Yes", Command: func([]string) string { return strings.Repeat("word ", 400) + "the-end" }},
	} {
		spec.Title = "Really?"
		d := widget.NewDialog(spec)
		d.AcceptKeys()
		seen := ""
		for range 30 {
			screen := ansi.Strip(d.View(dark, 80, 22))
			if n := strings.Count(screen, "\n") + 1; n > 22 {
				t.Fatalf("%s: %d lines:\n%s", name, n, screen)
			}
			if name == "fields" && !(strings.Contains(screen, "Same as: unibusd do it") && strings.Contains(screen, "[ Yes ]")) {
				t.Errorf("%s: the command or a button is not in sight:\n%s", name, screen)
			}
			if seen == "" && !strings.Contains(screen, "more lines: PgDn") {
				t.Errorf("%s: no word of what is below:\n%s", name, screen)
			}
			seen += screen
			if d.HandleKey(tea.KeyPressMsg{Code: tea.KeyPgDown}) != widget.StillOpen {
				t.Fatal("it is closed")
			}
		}
		for _, line := range append(lines, "the-end") {
			if (name == "command" || line != "the-end") && !strings.Contains(seen, line) {
				t.Errorf("%s: %s was never shown", name, line)
			}
		}
	}
}

// TestExtraColumnsAreDroppedFirst: the last column keeps its width as long as others can go.
func TestExtraColumnsAreDroppedFirst(t *testing.T) {
	t.Parallel()
	tb := widget.NewTable("nothing", widget.Column{Title: "NAME"}, widget.Column{Title: "SIZE", Extra: true}, widget.Column{Title: "LAST", Min: 4})
	tb.SetRows([]widget.Row{{Key: "a", Cells: []widget.Cell{{Text: "name-a"}, {Text: "12 kB"}, {Text: "n1 n2 n3"}}}}, "")
	for w, want := range map[int]string{40: "name-a  12 kB  n1 n2 n3", 24: "name-a  n1 n2 n3", 18: "name-a  n1 n2…"} {
		if got := ansi.Strip(tb.View(dark, w, 5)); !strings.Contains(got, want) {
			t.Errorf("at %d:\n%s", w, got)
		}
	}
}

// TestTopIsFollowed: a list with the newest first shows what comes, until the cursor
// leaves the first row. Then the cursor stays on its row.
func TestTopIsFollowed(t *testing.T) {
	t.Parallel()
	row := func(key string) widget.Row { return widget.Row{Key: key, Cells: []widget.Cell{{Text: key}}} }
	table := widget.NewTable("", widget.Column{Title: "WHAT"})
	table.FollowsTop = true
	table.SetRows([]widget.Row{row("b"), row("a")}, "")
	table.SetRows([]widget.Row{row("c"), row("b"), row("a")}, "")
	if got := table.SelectedKey(); got != "c" {
		t.Errorf("the cursor is on %s, and c is the newest", got)
	}
	table.HandleKey("down")
	table.SetRows([]widget.Row{row("d"), row("c"), row("b"), row("a")}, "")
	if got := table.SelectedKey(); got != "b" {
		t.Errorf("the cursor left b for %s", got)
	}
}

// TestMissingValuesSortLast in both directions: they are neither the least nor the greatest.
func TestMissingValuesSortLast(t *testing.T) {
	t.Parallel()
	table := widget.NewTable("", widget.Column{Title: "CPU"})
	table.SetRows([]widget.Row{
		{Key: "gone", Cells: []widget.Cell{widget.NoNumber()}},
		{Key: "low", Cells: []widget.Cell{widget.Number(1, "1", "%")}},
		{Key: "high", Cells: []widget.Cell{widget.Number(9, "9", "%")}},
	}, "")
	for _, want := range [][]string{{"low", "high", "gone"}, {"high", "low", "gone"}} {
		table.HandleKey(map[string]string{"low": "s", "high": "S"}[want[0]])
		table.HandleKey("home")
		for i, key := range want {
			if got := table.SelectedKey(); got != key {
				t.Errorf("row %d is %s, want %s", i, got, key)
			}
			table.HandleKey("down")
		}
	}
}
