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

// mergeEvents adds new events in order of time. If bothNodes, the new ones are
// another node's record of the same time, and duplicates are dropped.
func mergeEvents(old, fresh []cluster.Event, bothNodes bool) []cluster.Event {
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
		if !bothNodes || !anyWithin(seen[what{e.About, e.Text}], e.At) {
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

// events requests the new events. Another node numbers its events anew, so after a
// change of node it reads from the beginning and drops the duplicates.
func (f *Feed) events(ctx context.Context) {
	poll(ctx, f, func(s *Snapshot) *Topic[[]cluster.Event] { return &s.Events },
		func(ctx context.Context) ([]cluster.Event, error) {
			got, fromStart, err := f.fetchEvents(ctx)
			if err != nil {
				return nil, err
			}
			return mergeEvents(f.Snapshot().Events.Value, sanitized(got, f.cfg.Sanitize), fromStart), nil
		}, nil)
}

// fetchEvents returns true if it read a recorder from its beginning.
func (f *Feed) fetchEvents(ctx context.Context) ([]cluster.Event, bool, error) {
	fromStart := f.eventNodeRestarted()
	if fromStart {
		f.lastSeq = 0
	}
	got, err := f.cfg.Source.Events(ctx, admin.EventsRequest{Since: f.lastSeq})
	if err != nil {
		return nil, false, err
	}
	if got.Node != f.eventNode && f.lastSeq > 0 {
		if got, err = f.cfg.Source.Events(ctx, admin.EventsRequest{}); err != nil {
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

// eventNodeRestarted is true once after the node that numbers the events
// restarted.
func (f *Feed) eventNodeRestarted() bool {
	for _, n := range f.Snapshot().Status.Value.Nodes {
		if n.Name == f.eventNode && n.Started != 0 && n.Started != f.eventNodeStarted {
			previous := f.eventNodeStarted
			f.eventNodeStarted = n.Started
			return previous != 0
		}
	}
	return false
}
