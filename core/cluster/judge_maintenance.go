package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// MaintenanceText says who has put a node into maintenance, and until when.
func MaintenanceText(m core.Maintenance, now time.Time) string {
	return fmt.Sprintf("%s is in maintenance by %s since %s (until %s)", m.Node, m.By, minute(m.Since, now), minute(m.Until, now))
}

// minute is a moment to the minute in UTC, which operators in several zones read alike, with
// the day where it is another one.
func minute(m core.Millis, now time.Time) string {
	t := m.Time().UTC()
	if t.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		return t.Format("2006-01-02 15:04") + " UTC"
	}
	return t.Format("15:04") + " UTC"
}

// judgeMaintenance says which nodes are in maintenance. One that is stopped is no
// alarm while the others hold and no other node is silent.
func judgeMaintenance(v View, now time.Time) []Finding {
	var fs []Finding
	for _, m := range v.Maintenance {
		n, known := v.node(m.Node)
		if !known {
			continue
		}
		f := Finding{Note, "node." + m.Node, MaintenanceText(m, now), "to end it before: unibusd node resume " + m.Node}
		switch {
		case n.Online:
			f.Text += "."
			if left := DrainStateOf(v, m.Node).Pending; left != "" {
				f.Text += " " + capital(left, v.online()...) + "."
			}
		case v.onlyMaintenanceIsSilent():
			f.Text += fmt.Sprintf(", and does not answer. %d of %d nodes answer and %d suffice.%s", v.Meta.Online, v.Meta.Size, v.Meta.Needed, nextLoss(v))
			f.Next = "start unibusd on " + m.Node + " before the maintenance ends"
		default:
			f.Text += ", and does not answer."
		}
		fs = append(fs, f)
	}
	return fs
}

// onlyMaintenanceIsSilent is true where every node that does not answer is in
// maintenance, and the others serve everything.
func (v View) onlyMaintenanceIsSilent() bool {
	drained := func(name string) bool { _, ok := v.InMaintenance(name); return ok }
	silent := v.silent()
	return v.neverHeard() == 0 && !slices.ContainsFunc(silent, func(n string) bool { return !drained(n) }) &&
		v.Meta.Online >= v.Meta.Needed && !slices.Contains(silent, v.onSQLite()) && (!v.onKV() || v.allServe())
}
