package feed

import (
	"context"
	"sort"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

// duplicateWindow is how far apart two nodes may record the same event.
const duplicateWindow = core.Millis(3000)

// mergeEvents adds new events in order of time. If mayRepeat, the new ones are
// a node's events from the beginning, and duplicates are dropped.
func mergeEvents(old, fresh []cluster.Event, mayRepeat bool) []cluster.Event {
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
		if !mayRepeat || !anyWithin(seen[what{e.About, e.Text}], e.At) {
			out = append(out, e)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].At < out[j].At })
	return out[max(0, len(out)-maxEvents):]
}

func anyWithin(times []core.Millis, at core.Millis) bool {
	for _, t := range times {
		if d := at - t; d <= duplicateWindow && d >= -duplicateWindow {
			return true
		}
	}
	return false
}

// fetchEvents returns true if it read a node's events from the beginning. After an error nothing is
// noted, so that the next call does the same again.
func (f *Feed) fetchEvents(ctx context.Context) ([]cluster.Event, bool, error) {
	nodes, since := f.Snapshot().Status.Value.Nodes, f.lastSeq
	if started := startOf(nodes, f.eventNode); started != 0 && f.eventNodeStarted != 0 && started != f.eventNodeStarted {
		since = 0 // the node has restarted, and numbers its events anew
	}
	got, err := f.cfg.Client.Events(ctx, admin.EventsRequest{Since: since})
	if err == nil && got.Node != f.eventNode && since > 0 {
		since = 0
		got, err = f.cfg.Client.Events(ctx, admin.EventsRequest{})
	}
	if err != nil {
		return nil, false, err
	}
	if started := startOf(nodes, got.Node); started != 0 || got.Node != f.eventNode {
		f.eventNodeStarted = started
	}
	f.eventNode, f.lastSeq = got.Node, since
	for _, e := range got.Events {
		f.lastSeq = max(f.lastSeq, e.Seq)
	}
	return got.Events, since == 0, nil
}

// startOf is when a node started, 0 if that is not known.
func startOf(nodes []cluster.Node, name string) core.Millis {
	for _, n := range nodes {
		if n.Name == name {
			return n.Started
		}
	}
	return 0
}
