package migrate

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"unibus/core/migrate"
	"unibus/tui/page"
	"unibus/tui/widget"
)

// facts are the files of the move, who asked for it and how.
func facts(s page.Scene, st migrate.Status) []string {
	f := page.Facts{Scene: s, Label: 8}
	if st.Source.Path != "" {
		where := strings.TrimSpace(st.Node + " " + filepath.Base(st.Source.Path)) // a dry run is no node's
		f.Add("source", fmt.Sprintf("%s, %s, schema %d", where, widget.Size(st.Source.Bytes), st.Source.Schema))
	}
	f.Add("backup", file(s, st.Backup))
	f.Add("export", file(s, st.Export))
	if st.State == migrate.StateSoak || st.State == migrate.StateDone { // the one above is of before the cutover
		f.Add("now", keep)
	}
	by := "by " + st.By
	if st.Started != 0 {
		by = s.Clock(st.Started) + " " + by
	}
	if st.By == "" {
		by = ""
	}
	f.Add("begun", by)
	f.Add("options", asked(st))
	f.Add("estimate", estimate(st))
	if f.Lines == nil {
		return nil
	}
	return append([]string{""}, f.Lines...)
}

func file(s page.Scene, b migrate.Backup) string {
	if b.Path == "" {
		return ""
	}
	return fmt.Sprintf("%s, %s, sha256 %s", filepath.Base(b.Path), widget.Size(b.Bytes), widget.Middle(s.Theme, b.SHA256, 7))
}

// asked are the options in words.
func asked(st migrate.Status) string {
	var out []string
	o := st.Options
	add := func(when bool, text string) {
		if when {
			out = append(out, text)
		}
	}
	add(o.Replicas > 0, widget.Plural(o.Replicas, "replica", "replicas"))
	add(o.NoBackup, "a temporary copy in place of a backup")
	add(o.Rate > 0, "at most "+widget.Count(o.Rate)+" rows/s")
	add(st.CutsOver(), "cutover without waiting")
	add(o.DryRun, "dry run")
	add(len(o.Discard) > 0, "leaves behind the files of "+strings.Join(o.Discard, ", "))
	return strings.Join(out, ", ")
}

func estimate(st migrate.Status) string {
	if st.Estimate == 0 {
		return ""
	}
	text := "about " + widget.Age(time.Duration(st.Estimate)*time.Millisecond) + " for backup, copy and verify"
	if t := st.Took(); t > 0 {
		text += "; they took " + widget.Age(t)
	}
	return text
}
