package migrate

import (
	"fmt"

	"unibus/core"
	"unibus/core/migrate"
	"unibus/tui/action"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// beforeStart is the page before the first migration. It shows the result of a
// dry run.
func beforeStart(rc page.RenderContext, st migrate.Status, height int) []string {
	if st.Result != "" || len(st.Problems) > 0 || st.Error != nil || len(st.Divergences) > 0 {
		age := widget.FormatAge(max(0, rc.Now.Sub(st.Updated.Time()))) + " ago" // the result may be out of date
		lines := rc.Paragraph(theme.Strong, "A dry run finished "+age+"; nothing was written.")
		if st.Result != "" {
			lines = rc.Paragraph(theme.Strong, st.Result+" That was "+age+".")
		}
		lines = append(append(lines, errorLines(rc, st)...), problemLines(rc, st)...)
		lines = append(append(lines, divergence(rc, st)...), checklist(rc, st)...)
		return withSteps(rc, lines, summaryLines(rc, st), height)
	}
	files := action.Sources(rc.Snapshot)
	if len(files) == 0 {
		text := "No migration was ever started here."
		if a := rc.Snapshot.Status.Value.Authority; a != nil && a.Backend == core.BackendKV {
			text = "The control plane is in KV; there is nothing to migrate."
		}
		return append(rc.Paragraph(theme.Strong, text), rc.Paragraph(theme.Plain, "To back up: "+backupHint+".")...)
	}
	lines := rc.Paragraph(theme.Strong, fmt.Sprintf("The control plane is in SQLite on %s alone: if its disk fails, users and rooms are lost.", files[0].Node))
	if len(files) > 1 {
		lines = rc.Paragraph(theme.Strong, fmt.Sprintf("There are %s SQLite files, each served by another node. You choose the one to migrate. Rows that only the others hold are shown before anything is written.", action.NumberWord(len(files))))
	}
	lines = append(lines, checklist(rc, st)...)
	f := page.LabeledLines{Context: rc, LabelWidth: 11}
	for i, x := range files {
		f.Add([]string{"source", ""}[min(i, 1)], x.File+" on "+x.Node)
	}
	if c := rc.Snapshot.Status.Value.Counts; c != nil {
		f.Add("holds", countsNode(rc, files)+fmt.Sprintf("%s, %s, %s, %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"), widget.Plural(c.Keys, "sealed key", "sealed keys")))
	}
	f.Add("back up now", backupHint)
	return withSteps(rc, lines, append([]string{""}, f.Lines...), height)
}

// countsNode names the node whose counts are shown, if several serve files of
// their own.
func countsNode(rc page.RenderContext, files []action.SQLiteFile) string {
	if len(files) < 2 {
		return ""
	}
	return rc.Snapshot.Status.Value.From + ": "
}

// backupHint says how to save the whole control plane, from either store.
const backupHint = "`unibusd backup --out FILE` saves all of it locally"
