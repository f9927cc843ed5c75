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

// fetchEvents returns true if it read a node's events from the beginning.
func (f *Feed) fetchEvents(ctx context.Context) ([]cluster.Event, bool, error) {
	fromStart := f.noteEventNodeRestart()
	if fromStart {
		f.lastSeq = 0
	}
	got, err := f.cfg.Client.Events(ctx, admin.EventsRequest{Since: f.lastSeq})
	if err != nil {
		return nil, false, err
	}
	if got.Node != f.eventNode && f.lastSeq > 0 {
		if got, err = f.cfg.Client.Events(ctx, admin.EventsRequest{}); err != nil {
			return nil, false, err
		}
		f.lastSeq, fromStart = 0, true
	}
	f.eventNode = got.Node
	for _, e := range got.Events {
		f.lastSeq = max(f.lastSeq, e.Seq)
	}
	return got.Events, fromStart, nil
}

// noteEventNodeRestart notes when the node that numbers the events started. It
// returns true if that node has restarted since the last call.
func (f *Feed) noteEventNodeRestart() bool {
	for _, n := range f.Snapshot().Status.Value.Nodes {
		if n.Name == f.eventNode && n.Started != 0 && n.Started != f.eventNodeStarted {
			previous := f.eventNodeStarted
			f.eventNodeStarted = n.Started
			return previous != 0
		}
	}
	return false
}
