package widget_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"unibus/tui/widget"
)

// numberedWindow is the part of a list of numbers from offset on.
func numberedWindow(list []int, offset, n int) widget.Window {
	offset = max(0, min(offset, len(list)))
	w := widget.Window{Offset: offset, Total: len(list), Unfiltered: len(list)}
	for _, i := range list[offset:min(len(list), offset+n)] {
		key := fmt.Sprintf("row-%07d", i)
		w.Rows = append(w.Rows, widget.Row{Key: key, Cells: []widget.Cell{{Text: key}}})
	}
	return w
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func newWindowTable() *widget.Table {
	t := widget.NewTable("nothing", widget.Column{Title: "ROW"})
	t.RowsCanBeMarked = true
	return t
}

// answer gives the table the window that it wants.
func answer(t *widget.Table, list []int) {
	offset, limit := t.WantedWindow()
	t.SetWindow(numberedWindow(list, offset, limit), "")
}

// TestWindowMovesLikeTheWholeList: with an answer after each key, the cursor and the screen
// are those of a table that has all rows.
func TestWindowMovesLikeTheWholeList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		list := numbers(rapid.IntRange(0, 900).Draw(r, "n"))
		height := rapid.IntRange(2, 60).Draw(r, "height")
		whole, part := newWindowTable(), newWindowTable()
		whole.SetRows(numberedWindow(list, 0, len(list)).Rows, "")
		answer(part, list)
		for range 40 {
			whole.View(dark, 40, height)
			part.View(dark, 40, height)
			key := rapid.SampledFrom([]string{"up", "down", "pgup", "pgdown", "home", "end", "m"}).Draw(r, "key")
			whole.HandleKey(key)
			part.HandleKey(key)
			answer(part, list)
			if whole.SelectedKey() != part.SelectedKey() {
				t.Fatalf("after %s the cursor is on %q, want %q", key, part.SelectedKey(), whole.SelectedKey())
			}
			if got, want := part.View(dark, 40, height), whole.View(dark, 40, height); got != want {
				t.Fatalf("after %s:\n%s\nwant\n%s", key, ansi.Strip(got), ansi.Strip(want))
			}
			if _, limit := part.WantedWindow(); limit > 5*60 {
				t.Fatalf("%d rows are wanted for %d lines", limit, height)
			}
		}
	})
}

// TestCursorStaysWhileRowsComeAndGo: also where they come before the window.
func TestCursorStaysWhileRowsComeAndGo(t *testing.T) {
	t.Parallel()
	table, list := newWindowTable(), numbers(1000)
	answer(table, list)
	table.View(dark, 40, 21)
	for range 20 {
		table.HandleKey("pgdown")
		answer(table, list)
	}
	key := table.SelectedKey()
	before := table.View(dark, 40, 21)
	table.SetWindow(numberedWindow(list[7:], 320, 100), "") // seven went before it
	if got := table.SelectedKey(); got != key {
		t.Errorf("the cursor went from %s to %s", key, got)
	}
	_, rowsBefore, _ := strings.Cut(before, "\n")
	header, rows, _ := strings.Cut(table.View(dark, 40, 21), "\n")
	if rows != rowsBefore || !strings.Contains(ansi.Strip(before), "381 of 1 000") || !strings.Contains(ansi.Strip(header), "374 of 993") {
		t.Errorf("the screen moved, or the place is not right:\n%s\n%s\nfrom\n%s", ansi.Strip(header), ansi.Strip(rows), ansi.Strip(before))
	}
}

// TestAwaitedRowsArePlaceholders: they cannot be selected or marked, and become rows.
func TestAwaitedRowsArePlaceholders(t *testing.T) {
	t.Parallel()
	table, list := newWindowTable(), numbers(100_000)
	answer(table, list)
	table.View(dark, 40, 21)
	table.HandleKey("end")
	if got := ansi.Strip(table.View(dark, 40, 21)); strings.Count(got, "…") != 20 || table.SelectedKey() != "" {
		t.Errorf("%q is selected in\n%s", table.SelectedKey(), got)
	}
	if table.HandleKey("m"); len(table.MarkedKeys()) != 0 {
		t.Error("a row that is not there is marked")
	}
	answer(table, list)
	if got := ansi.Strip(table.View(dark, 40, 21)); strings.Contains(got, "…") || table.SelectedKey() != "row-0099999" {
		t.Errorf("%q is selected in\n%s", table.SelectedKey(), got)
	}
	table.HandleKey("s")
	if table.SelectedKey() != "" || table.CursorKey() != "row-0099999" {
		t.Errorf("in another order %q is selected, and %q awaited", table.SelectedKey(), table.CursorKey())
	}
	answer(table, list) // the row is not at the top
	if got := table.SelectedKey(); got != "row-0000000" {
		t.Errorf("the cursor is on %q", got)
	}
}

// TestWindowAfterTheScreenShrank: less is asked for, and the rows on the screen are in it.
func TestWindowAfterTheScreenShrank(t *testing.T) {
	t.Parallel()
	table, list := newWindowTable(), numbers(100)
	table.View(dark, 40, 31)
	answer(table, list)
	table.HandleKey("end")
	table.View(dark, 40, 4)
	answer(table, list)
	if got := ansi.Strip(table.View(dark, 40, 4)); strings.Contains(got, "…") || table.SelectedKey() != "row-0000099" {
		t.Errorf("%q is selected in\n%s", table.SelectedKey(), got)
	}
}

// TestKeyWhileRowsAreAwaited: a key that comes before the rows of another order moves the
// cursor in them, however often the table is drawn until then.
func TestKeyWhileRowsAreAwaited(t *testing.T) {
	t.Parallel()
	table, list := newWindowTable(), numbers(20_000)
	table.View(dark, 40, 30)
	answer(table, list)
	for key, want := range map[string]string{"G": "row-0019999", "g": "row-0000000"} {
		table.HandleKey("s")
		table.SetWindow(widget.Window{Awaited: true}, "")
		table.HandleKey(key)
		for range 3 {
			table.SetWindow(widget.Window{Awaited: true}, "")
			table.View(dark, 40, 30)
		}
		table.SetWindow(numberedWindow(list, 0, 150), "") // it was asked for before the key
		answer(table, list)
		if got := table.SelectedKey(); got != want {
			t.Errorf("after %s the cursor is on %q, want %q", key, got, want)
		}
	}
}
