package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"unibus/core"
	"unibus/tui/export"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// exportTimeout bounds the reading of a list: a million users are a thousand requests.
const exportTimeout = 10 * time.Minute

// runningExport is an export that has not returned. esc ends it.
type runningExport struct {
	name string
	end  context.CancelFunc
}

// exportDoneMsg is the end of an export.
type exportDoneMsg struct {
	export    *runningExport
	list      export.List
	path      string
	overwrite bool
	rows      int
	err       error
}

// startExport asks for the file that the list of the page goes to.
func (m *Model) startExport(name string) tea.Cmd {
	p, ok := m.currentPage().(page.Exporter)
	var list export.List
	if ok && m.guide == nil {
		list, ok = p.Export(m.renderContext())
	}
	switch {
	case m.cfg.NoFiles:
		m.showToast(theme.Warn, "This console writes no files, because it runs on another machine than you. Run unibus-tui on yours to export a list.")
		return nil
	case m.exporting != nil:
		m.showToast(theme.Warn, "Still exporting "+m.exporting.name+".")
		return nil
	case !ok || m.guide != nil:
		m.showToast(theme.Dim, "There is no list here that could be exported, or its rows are still on the way.")
		return nil
	}
	if list.Name == "" {
		list.Name, list.Filter = string(m.currentPage().Name()), m.filters[m.pageIndex]
	}
	return m.askExportFile(list, cmp.Or(name, "unibus-"+list.Name+"-"+m.displayTime().Format("20060102-150405")+".csv"))
}

func (m *Model) askExportFile(list export.List, name string) tea.Cmd {
	what := widget.Plural(list.Count, "row", "rows")
	switch {
	case list.IsMore && list.Filter != "":
		what = "All rows that match /" + list.Filter
	case list.IsMore:
		what = "All rows: the " + widget.Plural(list.Count, "loaded one", "loaded ones") + ", and those that the node has besides"
	case list.Filter != "":
		what = fmt.Sprintf("The %s that match /%s", what, list.Filter)
	}
	what += ", not only those on the screen, with whole ids and times."
	lines := []string{what, "The end of the name is the format: .csv or .json. Only you can read the file. One that exists is not replaced without a question."}
	if list.Note != "" {
		lines = append(lines, list.Note)
	}
	return m.showDialog(&dialogState{
		dialog: widget.NewDialog(widget.DialogSpec{
			Title: "Export " + list.Name + "?", ConfirmLabel: "Export", Lines: lines,
			Fields: []widget.Field{{Label: "file", Value: name, Check: export.CheckName}},
		}),
		confirmed: func(values []string) tea.Cmd { return m.runExport(list, m.exportPath(values[0]), false) },
	})
}

// exportPath is a typed name as a path, as a shell would take it.
func (m *Model) exportPath(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(m.cfg.ReportDir, name)
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// runExport reads the list and writes the file outside of Update.
func (m *Model) runExport(list export.List, path string, overwrite bool) tea.Cmd {
	ctx, end := context.WithTimeout(context.Background(), exportTimeout)
	running, client := &runningExport{name: list.Name, end: end}, m.cfg.Client
	m.exporting = running
	return func() tea.Msg {
		defer end()
		rows, err := export.Write(ctx, list, client, path, overwrite)
		return exportDoneMsg{export: running, list: list, path: path, overwrite: overwrite, rows: rows, err: err}
	}
}

func (m *Model) handleExportDone(d exportDoneMsg) tea.Cmd {
	if m.exporting != d.export {
		return nil // esc ended it
	}
	m.exporting = nil
	switch {
	case errors.Is(d.err, export.ErrExists):
		return m.askOverwrite(d)
	case d.err != nil:
		e := core.AsError(d.err)
		lines := []string{widget.Sentence(e.Text), "Nothing was written."}
		if e.Next != "" {
			lines = append(lines, "Do: "+e.Next)
		}
		return m.showResult("Not exported: "+d.list.Name, lines...)
	}
	text := fmt.Sprintf("Exported %s of %s to %s.", widget.Plural(d.rows, "row", "rows"), d.list.Name, d.path)
	var more []string
	if d.rows != d.list.Count && !d.list.IsMore {
		more = append(more, fmt.Sprintf("The list had %s when this began: it has changed meanwhile.", widget.Plural(d.list.Count, "row", "rows")))
	}
	if d.list.Note != "" {
		more = append(more, d.list.Note)
	}
	if len(more) > 0 || widget.Width(text) > m.width-4 {
		return m.showResult("Exported", append([]string{text}, more...)...)
	}
	m.showToast(theme.Good, text)
	return nil
}

// askOverwrite is the question before a file is replaced.
func (m *Model) askOverwrite(d exportDoneMsg) tea.Cmd {
	return m.showDialog(&dialogState{
		dialog: widget.NewDialog(widget.DialogSpec{
			Title: "Replace the file?", ConfirmLabel: "Replace", Dangerous: true,
			Lines: []string{d.path + " exists. Its contents are lost if you replace it."},
		}),
		confirmed: func([]string) tea.Cmd { return m.runExport(d.list, d.path, true) },
	})
}

// showResult shows a message, unless a question is open: that is not to be answered by a key for this.
func (m *Model) showResult(title string, lines ...string) tea.Cmd {
	if m.openDialog != nil {
		m.showToast(theme.Warn, title+": "+strings.Join(lines, " "))
		return nil
	}
	return m.showDialog(newMessage(title, lines...))
}
