package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// How long before its end an operator's key is a note, and a finding that changes the verdict.
const (
	operatorEndSoon   = 14 * 24 * time.Hour
	operatorEndUrgent = 3 * 24 * time.Hour
)

// operatorEnds finds operators whose keys end soon, or have ended and are still in
// the configuration. The nodes' clocks decide, and now is the observing node's.
func operatorEnds(infos []Info, now time.Time) []Finding {
	var fs []Finding
	for _, key := range operatorKeys(infos) {
		i := slices.IndexFunc(infos, func(i Info) bool { return operatorOf(i, key) != nil })
		op := *operatorOf(infos[i], key)
		left := op.NotAfter.Time().Sub(now)
		switch {
		case op.NotAfter == 0 || left > operatorEndSoon:
		case op.Ended(core.MillisOf(now)):
			fs = append(fs, Finding{
				Note, "config", fmt.Sprintf("The key of the operator %s ended on %s, and every node refuses it.", operatorName(op), dateOf(op.NotAfter, now)),
				"remove the entry from the configuration of every node, or give it a later not-after",
			})
		default:
			level := Note
			if left <= operatorEndUrgent {
				level = Degraded
			}
			fs = append(fs, Finding{
				level, "config", fmt.Sprintf("The key of the operator %s ends in %s: then every node refuses it.", operatorName(op), span(left)),
				"give its entry a later not-after in the configuration of every node, which needs no restart; or a new key: `unibusd keygen operator --out FILE`",
			})
		}
	}
	return fs
}

func dateOf(m core.Millis, now time.Time) string {
	return m.Time().In(now.Location()).Format("2006-01-02")
}

func notAfterText(op core.Operator) string {
	if op.NotAfter == 0 {
		return "no end"
	}
	return op.NotAfter.Time().UTC().Format(time.RFC3339)
}
