// Package migrate is the page of the migration from SQLite to KV.
//
// It shows the state, the progress of the copy, the comparison of all nodes, and the
// available actions. The daemon runs the migration, so it continues when the operator
// leaves the page. Begin reading with Page.body.
package migrate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/feed"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// tallPage is a height from which other pages are below a short one.
const tallPage = 30

// Page keeps how far the operator has scrolled.
type Page struct{ scroll widget.Scroll }

// New creates the page.
func New() *Page { return &Page{} }

// Name returns "migrate".
func (m *Page) Name() action.PageName { return action.PageMigrate }

// IsFilterable is false: the page has no list.
func (m *Page) IsFilterable() bool { return false }

// View draws the migration from its timeline down to the keys that differ, and
// below why the other actions are not available. Why each of them is not gives way to the body.
func (m *Page) View(rc page.RenderContext) string {
	if wait := rc.WaitingLines("the state of the migration", rc.Snapshot.Migration.Freshness); wait != nil {
		return rc.Fit(wait)
	}
	actions := m.unavailableLines(rc)
	height := max(1, rc.Height-len(actions)-1)
	body := m.body(rc, height)
	if len(body) > height {
		actions = m.unavailableNames(rc)
		height = max(1, rc.Height-len(actions)-1)
		body = m.body(rc, height)
	}
	if rc.Height >= tallPage { // else the last lines stay at the bottom, and nothing moves when the body grows
		height = min(height, len(body))
	}
	lines := strings.Split(widget.Fit(rc.Theme, strings.Join(m.scroll.VisibleLines(rc.Theme, body, height), "\n"), rc.Width, height), "\n")
	return rc.Fit(append(append(lines, ""), actions...))
}

// body is the part above the actions. If it does not fit, the files go below the
// comparison, because operators wait for the latter.
func (m *Page) body(rc page.RenderContext, height int) []string {
	lines := rc.StaleLines(rc.Snapshot.Migration.Freshness, page.StatusMaxAge)
	st := rc.Snapshot.Migration.Value
	if st.State == "" || st.State == migrate.StateNone {
		return append(lines, beforeStart(rc, st, height-len(lines))...)
	}
	lines = append(lines, timelineLines(rc, st)...)
	top := len(lines)
	lines = append(lines, stateLines(rc, st)...)
	lines = append(lines, problemLines(rc, st)...)
	if st.State == migrate.StatePreflight || st.Error != nil {
		lines = append(lines, divergence(rc, st)...)
	}
	files, progress := summaryLines(rc, st), append(progressLines(rc, st), comparisonTable(rc, st)...)
	if len(lines)+len(files)+len(progress) > height {
		files, progress = progress, files
	}
	lines = append(append(lines, files...), progress...)
	if st.State != migrate.StatePreflight && st.Error == nil {
		lines = append(lines, divergence(rc, st)...)
	}
	if len(lines) < height {
		lines = slices.Insert(lines, top, "")
	}
	return lines
}

// stateLines are the sentence about the state, and why the migration stopped.
func stateLines(rc page.RenderContext, st migrate.Status) []string {
	if nodeDown := nodeDownLines(rc, st); nodeDown != nil {
		return append(nodeDown, errorLines(rc, st)...)
	}
	lines := rc.Paragraph(theme.Strong, st.Sentence())
	if st.Running && st.Result != "" && st.Error == nil && !st.ResultIsCurrent() {
		lines = append(lines, rc.Paragraph(theme.Plain, st.Result)...)
	}
	return append(lines, errorLines(rc, st)...)
}

// nodeDownLines say that the node which runs the migration does not answer, so
// that the page shows its last report.
func nodeDownLines(rc page.RenderContext, st migrate.Status) []string {
	if !action.MigrationNodeDown(rc.Snapshot) {
		return nil
	}
	lines := rc.Paragraph(theme.Bad, fmt.Sprintf("%s %s runs the migration and does not answer. This is its last report, in %s.", rc.Theme.Glyphs.Critical, st.Node, st.State))
	return append(lines, rc.Paragraph(theme.Accent, "Do: start unibusd on "+st.Node)...)
}

func errorLines(rc page.RenderContext, st migrate.Status) []string {
	if st.Error == nil {
		return nil
	}
	var lines []string
	if len(st.Problems) == 0 { // otherwise the problems say more
		lines = rc.Paragraph(theme.Bad, rc.Theme.Glyphs.Critical+" "+st.Error.Text)
	}
	if st.Error.Next != "" {
		lines = append(lines, rc.Paragraph(theme.Accent, "Do: "+st.Error.Next)...)
	}
	return lines
}

// Refreshed is of the migration.
func (m *Page) Refreshed(rc page.RenderContext) (feed.Freshness, time.Duration) {
	return rc.Snapshot.Migration.Freshness, page.StatusMaxAge
}

// HandleKey scrolls.
func (m *Page) HandleKey(_ page.RenderContext, key string) page.KeyResult {
	return page.KeyResult{Handled: m.scroll.HandleKey(key)}
}

// OpenRow does nothing: the page has no rows.
func (m *Page) OpenRow(page.RenderContext, string) {}

// GoBack scrolls to the top.
func (m *Page) GoBack() bool {
	return m.scroll.ToTop()
}

// KeyHints say that the migration runs without the page.
func (m *Page) KeyHints(rc page.RenderContext) []page.KeyHint {
	if rc.Snapshot.Migration.Value.Running && !action.MigrationNodeDown(rc.Snapshot) {
		return []page.KeyHint{{Key: "esc", Does: "leave; it continues"}}
	}
	return nil
}

// Selection is empty: actions apply to the migration.
func (m *Page) Selection(page.RenderContext) action.Selection { return action.Selection{} }

// Subscription is empty: the migration is always polled.
func (m *Page) Subscription(page.RenderContext) feed.Subscription { return feed.Subscription{} }

// ActionDone does nothing: the page has no marks.
func (m *Page) ActionDone(action.Selection) {}

// MoreCopies are the whole report.
func (m *Page) MoreCopies(rc page.RenderContext) []page.Copy {
	if st := rc.Snapshot.Migration; st.Known() && st.Value.ID != "" {
		return []page.Copy{{What: "the report", Text: st.Value.Report(rc.Now)}}
	}
	return nil
}

// ClipboardText is the path of the backup.
func (m *Page) ClipboardText(rc page.RenderContext) (string, string) {
	return "the path of the backup", rc.Snapshot.Migration.Value.Backup.Path
}
