package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// After so many intervals without a rehearsed backup the finding is degraded, and then
// critical. One interval is normal, and one failure may be tried again.
const (
	backupLate     = 2
	backupVeryLate = 4
)

// BackupInterval is the time between two scheduled backups, the shortest of all nodes; 0
// where no node has a schedule. Of nodes that were never heard the record speaks.
func (v View) BackupInterval() time.Duration {
	var least time.Duration
	unknown := false
	for _, n := range v.Nodes {
		unknown = unknown || n.Info == nil
		if n.Info == nil || n.Info.Backups == nil {
			continue
		}
		if d := time.Duration(n.Info.Backups.EveryMS) * time.Millisecond; d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	if least == 0 && unknown && v.Backups != nil {
		least = time.Duration(v.Backups.EveryMS) * time.Millisecond
	}
	return least
}

// judgeRestore tells of a backup that is put into the cluster, or was when its node ended.
func judgeRestore(v View, now time.Time) []Finding {
	if v.Backups == nil || !v.Backups.Restore.Unfinished(v.Authority) {
		return nil
	}
	r := v.Backups.Restore
	return []Finding{{
		Level: Critical, About: "restore",
		Text: fmt.Sprintf("%s restores a backup of %d rows into this cluster, on %s since %s. Nobody is admitted until it has ended.", r.By, r.Rows, r.Node, clock(r.Since, now)),
		Next: "wait for its end; if the command or " + r.Node + " was stopped, give the command again, also with another backup: unibusd restore cluster --from FILE",
	}}
}

// judgeBackups looks at the age of the latest backup that was rehearsed.
func judgeBackups(v View, now time.Time) []Finding {
	every := v.BackupInterval()
	if every == 0 || v.Backups == nil || v.Backups.Begun == 0 {
		return nil
	}
	f := Finding{Level: Note, About: "backup", Next: v.backupAdvice()}
	switch age := v.Backups.Age(now); {
	case age >= backupVeryLate*every:
		f.Level = Critical
	case age >= backupLate*every:
		f.Level = Degraded
	case v.Backups.Failure == nil:
		return nil
	}
	f.Text = fmt.Sprintf("%s One is due every %s.%s", latestBackup(*v.Backups, now), period(every), v.whyNoBackup(now))
	return []Finding{f}
}

func latestBackup(r core.BackupRecord, now time.Time) string {
	last, ok := r.Last()
	if !ok {
		return fmt.Sprintf("No scheduled backup has been made and rehearsed since %s.", minute(r.Begun, now))
	}
	return fmt.Sprintf("The latest rehearsed backup is %s old (%s on %s).", span(Age(last.At, now)), last.Name, last.Node)
}

// period is an interval as it was configured: "24 h", "1 m".
func period(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d m", d/time.Minute)
	}
	return d.String()
}

func (v View) whyNoBackup(now time.Time) string {
	if f := v.Backups.Failure; f != nil {
		cause := fmt.Sprintf("on %s at %s: %s.", f.Node, clock(f.At, now), strings.TrimSuffix(f.Text, "."))
		if f.Count > 1 {
			return fmt.Sprintf(" %d tries have failed, the last one %s", f.Count, cause)
		}
		return " The last try failed " + cause
	}
	if !v.scheduleServes() {
		return " No node that has a schedule serves the control plane."
	}
	return ""
}

// scheduleServes is true where a node that has a schedule could make a backup, or may
// have one: nothing is known of it.
func (v View) scheduleServes() bool {
	return slices.ContainsFunc(v.Nodes, func(n Node) bool { return n.Info == nil }) ||
		slices.ContainsFunc(v.infos(), func(i Info) bool { return i.Backups != nil && i.Serving.Backend != core.BackendNone })
}

func (v View) backupAdvice() string {
	const again = "unibusd backup now"
	scheduled := namesWhere(v.infos(), func(i Info) bool { return i.Backups != nil })
	if len(scheduled) == 0 {
		scheduled = v.online()
	}
	switch f := v.Backups.Failure; {
	case f != nil && f.Next != "":
		return fmt.Sprintf("on %s, %s, then: %s", f.Node, strings.TrimSuffix(f.Next, "."), again)
	case f != nil:
		return fmt.Sprintf("read the log of %s, then: %s", f.Node, again)
	case !v.scheduleServes():
		return fmt.Sprintf("give the nodes that serve the control plane the backup settings of %s", join(scheduled))
	}
	return fmt.Sprintf("read the log of %s, then: %s", join(scheduled), again)
}
