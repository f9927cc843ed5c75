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
func beforeStart(rc page.RenderContext, st migrate.Status) []string {
	if st.Result != "" || len(st.Problems) > 0 || st.Error != nil || len(st.Drift) > 0 {
		age := widget.FormatAge(max(0, rc.Now.Sub(st.Updated.Time()))) + " ago" // what it found may have been mended since
		lines := rc.Paragraph(theme.Strong, "A dry run was made "+age+"; nothing was written.")
		if st.Result != "" {
			lines = rc.Paragraph(theme.Strong, st.Result+" That was "+age+".")
		}
		lines = append(append(lines, errorLines(rc, st)...), problemLines(rc, st)...)
		return append(append(lines, divergence(rc, st)...), summaryLines(rc, st)...)
	}
	files := action.Sources(rc.Snapshot)
	if len(files) == 0 {
		text := "No move was ever started here."
		if a := rc.Snapshot.Status.Value.Authority; a != nil && a.Backend == core.BackendKV {
			text = "The control plane is in KV; there is nothing to move."
		}
		return append(rc.Paragraph(theme.Strong, text), rc.Paragraph(theme.Plain, "A backup: "+backupHint+".")...)
	}
	lines := rc.Paragraph(theme.Strong, fmt.Sprintf("The control plane is in SQLite on %s alone: were its disk lost, so were users and rooms.", files[0].Node))
	if len(files) > 1 {
		lines = rc.Paragraph(theme.Strong, fmt.Sprintf("There are %s SQLite files, each served by a node of its own. One of them can be moved: you name its node. What only the others hold is shown before anything is written.", action.NumberWord(len(files))))
	}
	lines = append(lines, rc.Paragraph(theme.Plain, "A move takes a backup, copies it to a replica on every node, and compares every row there. SQLite serves all the while. Then it waits for your cutover; until then it can be given up, and until you finish it can be rolled back.")...)
	f := page.LabeledLines{Context: rc, LabelWidth: 8}
	for i, x := range files {
		f.Add([]string{"source", ""}[min(i, 1)], x.File+" on "+x.Node)
	}
	if c := rc.Snapshot.Status.Value.Counts; c != nil {
		f.Add("holds", countsNode(rc, files)+fmt.Sprintf("%s, %s, %s, %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"), widget.Plural(c.Keys, "sealed key", "sealed keys")))
	}
	f.Add("backup", backupHint)
	return append(append(lines, ""), f.Lines...)
}

// countsNode names the node whose counts are shown, if several serve files of
// their own.
func countsNode(rc page.RenderContext, files []action.Source) string {
	if len(files) < 2 {
		return ""
	}
	return rc.Snapshot.Status.Value.From + ": "
}

// backupHint says how to save the whole control plane, from either store.
const backupHint = "`unibusd backup --out FILE` saves all of it where you are"
