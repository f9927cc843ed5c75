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

// begin is the page before there was a move, with what a dry run found.
func begin(s page.Scene, st migrate.Status) []string {
	if st.Result != "" || len(st.Problems) > 0 || st.Error != nil || len(st.Drift) > 0 {
		ago := widget.Age(max(0, s.Now.Sub(st.Updated.Time()))) + " ago" // what it found may have been mended since
		lines := s.Prose(theme.Strong, "A dry run was made "+ago+"; nothing was written.")
		if st.Result != "" {
			lines = s.Prose(theme.Strong, st.Result+" That was "+ago+".")
		}
		lines = append(append(lines, stopped(s, st)...), problems(s, st)...)
		return append(append(lines, drift(s, st)...), facts(s, st)...)
	}
	files := action.Sources(s.Snap)
	if len(files) == 0 {
		text := "No move was ever started here."
		if a := s.Snap.Status.Value.Authority; a != nil && a.Backend == core.BackendKV {
			text = "The control plane is in KV; there is nothing to move."
		}
		return append(s.Prose(theme.Strong, text), s.Prose(theme.Plain, "A backup: "+keep+".")...)
	}
	lines := s.Prose(theme.Strong, fmt.Sprintf("The control plane is in SQLite on %s alone: were its disk lost, so were users and rooms.", files[0].Node))
	if len(files) > 1 {
		lines = s.Prose(theme.Strong, fmt.Sprintf("There are %s SQLite files, each served by a node of its own. One of them can be moved: you name its node. What only the others hold is shown before anything is written.", action.Words(len(files))))
	}
	lines = append(lines, s.Prose(theme.Plain, "A move takes a backup, copies it to a replica on every node, and compares every row there. SQLite serves all the while. Then it waits for your cutover; until then it can be given up, and until you finish it can be rolled back.")...)
	f := page.Facts{Scene: s, Label: 8}
	for i, x := range files {
		f.Add([]string{"source", ""}[min(i, 1)], x.File+" on "+x.Node)
	}
	if c := s.Snap.Status.Value.Counts; c != nil {
		f.Add("holds", held(s, files)+fmt.Sprintf("%s, %s, %s, %s", widget.Plural(c.Users, "user", "users"), widget.Plural(c.Rooms, "room", "rooms"), widget.Plural(c.Members, "member", "members"), widget.Plural(c.Keys, "sealed key", "sealed keys")))
	}
	f.Add("backup", keep)
	return append(append(lines, ""), f.Lines...)
}

// held names the node whose counts stand here, where several have files of their own.
func held(s page.Scene, files []action.Source) string {
	if len(files) < 2 {
		return ""
	}
	return s.Snap.Status.Value.From + ": "
}

// keep is how the whole control plane is brought to another machine, whichever store it is in.
const keep = "`unibusd backup --out FILE` saves all of it where you are"
