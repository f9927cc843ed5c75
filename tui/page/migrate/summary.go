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

// summaryLines are the files of the migration, its operator and its options.
func summaryLines(rc page.RenderContext, st migrate.Status) []string {
	f := page.LabeledLines{Context: rc, LabelWidth: 11}
	if st.Source.Path != "" {
		source := strings.TrimSpace(st.Node + " " + filepath.Base(st.Source.Path)) // a dry run names no node
		f.Add("source", fmt.Sprintf("%s, %s, schema %d", source, widget.FormatSize(st.Source.Bytes), st.Source.Schema))
	}
	f.Add("backup", backupText(rc, st.Backup))
	f.Add("export", backupText(rc, st.Export))
	if st.State == migrate.StateSoak || st.State == migrate.StateDone { // the backup above is older than the cutover
		f.Add("back up now", backupHint)
	}
	by := "by " + st.By
	if st.Started != 0 {
		by = rc.FormatMillis(st.Started) + " " + by
	}
	if st.By == "" {
		by = ""
	}
	f.Add("started", by)
	f.Add("options", optionsText(st))
	f.Add("estimate", estimateText(st))
	if f.Lines == nil {
		return nil
	}
	return append([]string{""}, f.Lines...)
}

func backupText(rc page.RenderContext, b migrate.Backup) string {
	if b.Path == "" {
		return ""
	}
	return fmt.Sprintf("%s, %s, sha256 %s", filepath.Base(b.Path), widget.FormatSize(b.Bytes), widget.TruncateMiddle(rc.Theme, b.SHA256, 7))
}

// optionsText are the options in words.
func optionsText(st migrate.Status) string {
	var out []string
	o := st.Options
	add := func(condition bool, text string) {
		if condition {
			out = append(out, text)
		}
	}
	add(o.Replicas > 0, widget.Plural(o.Replicas, "replica", "replicas"))
	add(o.NoBackup, "a temporary copy instead of a backup")
	add(o.Rate > 0 && !st.HasEnded(), "at most "+widget.FormatCount(o.Rate)+" rows/s")
	add(st.WillCutOver(), "cutover without waiting")
	add(o.DryRun, "dry run")
	add(len(o.IgnoredNodes) > 0, "ignores the files of "+strings.Join(o.IgnoredNodes, ", "))
	add(len(o.Ignored) > 0, "leaves behind "+strings.Join(o.Ignored, ", "))
	return strings.Join(out, ", ")
}

func estimateText(st migrate.Status) string {
	if st.EstimateMS == 0 {
		return ""
	}
	text := "about " + widget.FormatAge(time.Duration(st.EstimateMS)*time.Millisecond) + " for backup, copy and verify"
	if t := st.WorkDuration(); t > 0 {
		text += "; they took " + widget.FormatAge(t)
	}
	return text
}
