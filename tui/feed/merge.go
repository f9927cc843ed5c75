package feed

import (
	"sort"

	"unibus/core"
	"unibus/core/cluster"
)

// sameWithin is how far apart two nodes may have recorded one event.
const sameWithin = core.Millis(3000)

// merge adds new events to the ones there are, in the order of time. With both,
// the new ones are another node's record of the same time: two nodes record one
// event at slightly different times, and the first is kept.
func merge(old, fresh []cluster.Event, both bool) []cluster.Event {
	if len(fresh) == 0 {
		return old
	}
	type what struct{ about, text string }
	seen := map[what][]core.Millis{}
	for _, e := range old {
		k := what{e.About, e.Text}
		seen[k] = append(seen[k], e.At)
	}
	out := append([]cluster.Event(nil), old...)
	for _, e := range fresh {
		if !both || !near(seen[what{e.About, e.Text}], e.At) {
			out = append(out, e)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].At < out[j].At })
	return out[max(0, len(out)-MaxEvents):]
}

func near(times []core.Millis, at core.Millis) bool {
	for _, t := range times {
		if d := at - t; d <= sameWithin && d >= -sameWithin {
			return true
		}
	}
	return false
}
