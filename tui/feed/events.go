package feed

import (
	"context"
	"sort"

	"unibus/core"
	"unibus/core/admin"
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

// events asks for what is new. Another node counts its events anew, so a change of
// node starts from its beginning; what both recorded is shown once.
func (f *Feed) events(ctx context.Context) {
	ask(ctx, f, func(s *Snapshot) *Topic[[]cluster.Event] { return &s.Events },
		func(ctx context.Context) ([]cluster.Event, error) {
			got, anew, err := f.newEvents(ctx)
			if err != nil {
				return nil, err
			}
			return merge(f.Now().Events.Value, cleaned(got, f.cfg.Clean), anew), nil
		}, nil)
}

// newEvents is true where a recorder was read from its beginning.
func (f *Feed) newEvents(ctx context.Context) ([]cluster.Event, bool, error) {
	anew := f.restarted()
	if anew {
		f.seq = 0
	}
	got, err := f.cfg.Source.Events(ctx, admin.EventsRequest{Since: f.seq})
	if err != nil {
		return nil, false, err
	}
	if got.Node != f.from && f.seq > 0 {
		if got, err = f.cfg.Source.Events(ctx, admin.EventsRequest{}); err != nil {
			return nil, false, err
		}
		f.seq, anew = 0, true
	}
	f.from = got.Node
	for _, e := range got.Events {
		f.seq = max(f.seq, e.Seq)
	}
	return got.Events, anew, nil
}

// restarted notices that the node whose events are read has begun to count anew.
func (f *Feed) restarted() bool {
	for _, n := range f.Now().Status.Value.Nodes {
		if n.Name == f.from && n.Started != 0 && n.Started != f.started {
			was := f.started
			f.started = n.Started
			return was != 0
		}
	}
	return false
}
