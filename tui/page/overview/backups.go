package overview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core/cluster"
	"unibus/tui/page"
	"unibus/tui/theme"
	"unibus/tui/widget"
)

// backupText says when the latest backup was made and rehearsed, where it is, when the next one
// is due, and why the last try failed. It is empty where no node has a schedule.
func backupText(rc page.RenderContext, v cluster.View) string {
	if v.BackupInterval() == 0 {
		return ""
	}
	if v.Backups == nil {
		return rc.Paint(theme.Dim, "not known yet")
	}
	var parts []string
	if l := v.Backups.Lease; l != nil {
		parts = append(parts, fmt.Sprintf("%s makes one for %s", widget.Sanitize(l.Node), widget.FormatDuration(rc.AgeOf(l.Since))))
	} else if v.Backups.Requested != 0 {
		parts = append(parts, "one is asked for by "+widget.Sanitize(v.Backups.By))
	}
	last, made := v.Backups.Last()
	switch {
	case made:
		parts = append(parts, fmt.Sprintf("made %s ago by %s, %s, in %s", widget.FormatAge(rc.AgeOf(last.At)), widget.Sanitize(last.Node), widget.FormatSize(last.Bytes), widget.Sanitize(last.To)),
			fmt.Sprintf("rehearsed %s ago", widget.FormatAge(rc.AgeOf(last.Rehearsed))))
	default:
		parts = append(parts, "none was made yet")
	}
	if next, ok := nextBackup(v); ok && v.Backups.Lease == nil {
		parts = append(parts, untilBackup(rc, next))
	}
	text := strings.Join(parts, "; ")
	if f := v.Backups.Failure; f != nil {
		text += "; " + rc.Paint(theme.Warn, fmt.Sprintf("failed on %s %s ago: %s", widget.Sanitize(f.Node), widget.FormatAge(rc.AgeOf(f.At)), widget.Sanitize(f.Text)))
	}
	return text
}

func untilBackup(rc page.RenderContext, next time.Time) string {
	if left := next.Sub(rc.Now); left > 0 {
		return "next in " + widget.FormatDuration(left)
	}
	return rc.Paint(theme.Warn, "due for "+widget.FormatDuration(rc.Now.Sub(next)))
}

// nextBackup is the earliest moment at which a node wants the next one.
func nextBackup(v cluster.View) (time.Time, bool) {
	last, _ := v.Backups.Last()
	var all []time.Time
	for _, n := range v.Nodes {
		if n.Info == nil || n.Info.Backups == nil {
			continue
		}
		if at, ok := n.Info.Backups.Next(last.At); ok {
			all = append(all, at)
		}
	}
	if len(all) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(all, time.Time.Compare), true
}
