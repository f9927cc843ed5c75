package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// copies is where y goes on: each further one copies the next text of the same thing.
type copies struct {
	of   string // the first text
	next int
}

// maxCopyByHand is how many cells of a copied text are shown: a terminal may not take OSC 52.
const maxCopyByHand = 160

// copyToClipboard copies the id of what is selected; pressed again, its row, its command and its report.
func (m *Model) copyToClipboard(rc page.RenderContext) tea.Cmd {
	all := m.clipboardTexts(rc)
	if len(all) == 0 {
		m.showToast(theme.Dim, "There is nothing to copy here.")
		return nil
	}
	if m.copies.of != all[0].Text || m.toast.text == "" || m.copies.next >= len(all) {
		m.copies = copies{of: all[0].Text}
	}
	c := all[m.copies.next]
	m.copies.next++
	after := ""
	if m.copies.next < len(all) {
		after = all[m.copies.next].What
	}
	return m.copyText(c, after)
}

// clipboardTexts are what y copies here, one after the other.
func (m *Model) clipboardTexts(rc page.RenderContext) (out []page.Copy) {
	add := func(c page.Copy) {
		if c.Text = sanitizeLines(c.Text); c.Text != "" {
			out = append(out, c)
		}
	}
	what, text := m.currentPage().ClipboardText(rc)
	add(page.Copy{What: what, Text: text})
	if p, ok := m.currentPage().(page.MoreCopier); ok {
		for _, c := range p.MoreCopies(rc) {
			add(c)
		}
	}
	return out
}

// copyText copies by OSC 52 and says what; after is what another y copies, "" for nothing.
func (m *Model) copyText(c page.Copy, after string) tea.Cmd {
	message := "Copied " + c.What
	byHand := strings.ReplaceAll(strings.ReplaceAll(c.Text, "\t", "  "), "\n", " ")
	if widget.Width(byHand) <= maxCopyByHand {
		message += "; to copy by hand: " + byHand
	} else {
		message += fmt.Sprintf(", %s.", widget.Plural(len([]rune(c.Text)), "character", "characters"))
	}
	if after != "" {
		message += " (y again: " + after + ")"
	}
	m.showToast(theme.Good, message)
	return tea.SetClipboard(c.Text)
}

// handleDialogCopy copies the command of a question, or all that a message says. z in the message about what
// was done takes it back.
func (m *Model) handleDialogCopy(key string) (cmd tea.Cmd, handled bool) {
	d := m.openDialog
	command := d.dialog.Command()
	switch {
	case key == "ctrl+y" && command != "":
		return m.copyText(page.Copy{What: "the command", Text: command}, ""), true
	case key == "y" && d.messageOnly:
		return m.copyText(page.Copy{What: "the report", Text: sanitizeLines(ansi.Strip(d.dialog.Text()))}, ""), true
	case key == "z" && d.offersUndo:
		m.openDialog = nil
		return m.undoLast(), true
	}
	return nil, false
}

// sanitizeLines sanitizes each line, because copied text is pasted into
// terminals. Tabs between the cells of a row stay.
func sanitizeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		cells := strings.Split(l, "\t")
		for j, c := range cells {
			cells[j] = widget.Sanitize(c)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}
