package events

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/jsapi"
)

// writer owns the state that changes with an observation. One goroutine uses it.
type writer struct {
	l              *Log
	run            string
	stream         *stream // nil on a node alone
	incidents      cluster.IncidentTracker
	verdicts       cluster.VerdictTracker
	verdict        cluster.VerdictChange // the last one
	pending        *pending
	written        map[string]writtenState // open incidents as the stream has them, by ID
	titles         map[string]string       // open incidents as the log has them, by ID
	since          core.Millis             // from then on what is not healthy counts; 0: not yet
	caughtUp       bool                    // the whole stream was read once
	inFlight       *record                 // it is not known whether it was written
	sentLevel      cluster.Level           // the last verdict that any node has sent to webhooks
	sentUnrecorded *cluster.VerdictChange  // this node has sent it, and the stream does not have it
	noLeader       core.Millis             // since then the stream has no leader or takes no record; 0: it does
	localRecords   uint64                  // how many records a node on its own has
}

// writtenState is the state of an incident in the stream: a change of it needs another write.
type writtenState struct {
	at     core.Millis
	level  cluster.Level
	times  int
	lines  int
	isOpen bool
}

// openWriteInterval is how often an open incident is written at most while only its lines change.
const openWriteInterval = core.Millis(5000)

func stateOf(i cluster.Incident, at core.Millis) writtenState {
	return writtenState{at, i.Level, i.Times, len(i.Lines) + i.LeftOut, i.IsOpen()}
}

// observe applies one observation, and writes the events that the stream lacks.
func (w *writer) observe(ctx context.Context, o inboxContent) {
	if o.dropped > 0 {
		w.pending.dropped.add(o.At, o.dropped, 0)
	}
	changed, lines := w.incidents.Observe(o.Observation)
	if w.since == 0 && w.incidents.Settled() {
		w.since = o.At
	}
	if c, ok := w.verdicts.Observe(o.Observation); ok {
		w.verdict = c
		w.logVerdict(c)
		if c.From == "" {
			c.From = w.sentLevel // of a writer before this node was started
		}
		if c.To != cmp.Or(c.From, cluster.Healthy) {
			lines = append(lines, verdictLine(c))
		}
	}
	w.pending.addLines(lines...)
	for _, i := range changed {
		w.logIncident(i)
		if i.IsOpen() {
			delete(w.pending.ended, i.ID)
		} else {
			w.pending.addEnded(i.Incident)
		}
	}
	if w.stream == nil {
		w.recordLocally(o.At)
		w.sendVerdict()
		w.publish(fmt.Sprintf("%s runs alone: it keeps events in memory, and a restart forgets them.", w.l.cfg.Node))
		return
	}
	w.syncStream(ctx, o.Observation)
}

// recordLocally keeps events in memory, on a node alone.
func (w *writer) recordLocally(at core.Millis) {
	for {
		r := w.next(at, true)
		if r.isEmpty() {
			return
		}
		w.localRecords++
		w.recorded(w.localRecords, r)
	}
}

// syncStream reads other nodes' records, and writes if this node leads the stream.
func (w *writer) syncStream(ctx context.Context, o cluster.Observation) {
	bucket, leads := w.streamBucket(o.View)
	if bucket.Leader == "" {
		w.noLeader = cmp.Or(w.noLeader, o.At)
		w.sendUnrecorded(o)
		w.publish(w.whyIncomplete())
		return
	}
	err := w.read(ctx, bucket)
	if err == nil && w.caughtUp && w.since != 0 && w.l.ready.Load() {
		err = w.write(ctx, o.At, leads)
	}
	if err == nil {
		w.noLeader = 0
	} else {
		w.noLeader = cmp.Or(w.noLeader, o.At)
		if leads {
			w.sendUnrecorded(o)
		}
	}
	w.publish(w.whyIncomplete())
}

// streamBucket is the stream as the view has it, and whether this node leads it.
func (w *writer) streamBucket(v cluster.View) (b cluster.Bucket, leads bool) {
	i := slices.IndexFunc(v.InternalBuckets, func(b cluster.Bucket) bool { return b.Name == Stream })
	if i < 0 {
		return cluster.Bucket{}, false
	}
	return v.InternalBuckets[i], v.InternalBuckets[i].Leader == w.l.cfg.Node
}

func (w *writer) whyIncomplete() string {
	switch {
	case !w.caughtUp && w.noLeader != 0:
		return fmt.Sprintf("%s has not read the history yet, because its stream has no leader: this page shows only this node's own observations.", w.l.cfg.Node)
	case !w.caughtUp:
		return fmt.Sprintf("%s is still reading the history.", w.l.cfg.Node)
	case w.noLeader != 0:
		return fmt.Sprintf("The stream of events takes no records since %s: this page shows the events that %s knows, and it records its own later.", w.noLeader.Time().Format(time.RFC3339), w.l.cfg.Node)
	}
	return ""
}

// read reads new records. If the view shows none, it sends no request.
func (w *writer) read(ctx context.Context, b cluster.Bucket) error {
	if w.caughtUp && b.LastSeq == w.stream.seen && w.inFlight == nil {
		return nil
	}
	done, err := w.stream.readNew(ctx, func(seq uint64, data []byte) {
		if r, ok := decodeRecord(data); ok {
			w.recorded(seq, r)
		}
	})
	if done {
		w.caughtUp = true
		w.inFlight = nil // it was not written, or it was read
	}
	return err
}

// recorded applies a record of the stream.
func (w *writer) recorded(seq uint64, r record) {
	isOwn, now := r.Run == w.run, w.l.cfg.Now()
	w.l.memory.add(seq, r)
	w.pending.recorded(r, isOwn)
	for _, i := range r.Incidents {
		if !isOwn {
			i = w.adopt(i, now)
		}
		w.written[i.ID] = stateOf(i, now)
		if !i.IsOpen() {
			delete(w.written, i.ID)
		}
	}
	if isOwn && r.Dropped != nil {
		w.pending.dropped = Dropped{}
	}
	if r.ToldBefore != nil {
		w.sentLevel = r.ToldBefore.To
		if isOwn {
			w.sentUnrecorded = nil
		}
	}
	if r.Told != nil {
		w.sentLevel = r.Told.To
		if isOwn {
			w.l.cfg.Tell(*r.Told, w.incidents.Open())
		}
	}
}

// adopt has this node continue an incident of another one. It returns the stream's state of it.
func (w *writer) adopt(i cluster.Incident, now core.Millis) cluster.Incident {
	if i.IsOpen() {
		if _, seen := w.pending.endOf(i); seen {
			return i
		}
	}
	if own := w.incidents.Adopt(i, now); i.IsOpen() && !own.IsOpen() {
		w.pending.addEnded(own)
	}
	return i
}

// writesAtOnce bounds the records of one observation.
const writesAtOnce = 20

// write writes the events that the stream lacks: all of them if this node leads, else those that no
// leader could see.
func (w *writer) write(ctx context.Context, at core.Millis, leads bool) error {
	for range writesAtOnce {
		r := w.next(at, leads)
		if r.isEmpty() {
			return nil
		}
		w.inFlight = &r
		seq, err := w.stream.write(ctx, r)
		if jsapi.IsConflict(err) {
			return nil // the next observation reads what the other node wrote
		}
		if err != nil {
			return err
		}
		w.inFlight = nil
		w.recorded(seq, r)
	}
	return nil
}

// writeDelay is how long after it happened a line may be given to the writer by its own tracker.
const writeDelay = core.Millis(6000)

// next is the next record; an empty one where there is nothing to write.
func (w *writer) next(at core.Millis, leads bool) record {
	r := record{V: recordVersion, ID: newID(), Node: w.l.cfg.Node, Run: w.run, Since: w.since, Through: at - writeDelay, ToldBefore: w.sentUnrecorded}
	lines, incidents := w.pending.uncovered(at)
	if leads {
		lines, incidents = w.pending.lines, w.changedIncidents(at)
	}
	r.Events = lines[:min(len(lines), recordLines)]
	r.Incidents = incidents[:min(len(incidents), recordIncidents)]
	if !leads {
		r.Through = 0 // the writer goes on with its own
		return r
	}
	if len(lines) > recordLines {
		r.Through = min(r.Through, lines[recordLines-1].At)
	}
	if w.pending.dropped != (Dropped{}) {
		d := w.pending.dropped
		r.Dropped = &d
	}
	if c, isNews := w.unsentVerdict(); isNews && w.stream != nil {
		r.Told = &c
	}
	return r
}

// changedIncidents are the incidents that the stream lacks, or has in an older state.
func (w *writer) changedIncidents(at core.Millis) (out []cluster.Incident) {
	for _, i := range w.pending.ended {
		out = append(out, i)
	}
	for _, i := range w.incidents.Open() {
		known, now := w.written[i.ID], stateOf(i, at)
		isUrgent := known.level != now.level || known.times != now.times || !known.isOpen
		if isUrgent || known.lines != now.lines && at-known.at >= openWriteInterval {
			out = append(out, i)
		}
	}
	return sorted(out)
}

// publish makes the writer's state visible to readers.
func (w *writer) publish(note string) {
	var own []Entry
	for _, e := range w.pending.lines {
		own = append(own, Entry{At: e.At, Node: w.l.cfg.Node, Event: &e, Unrecorded: true})
	}
	open := w.incidents.Open()
	for _, i := range slices.Concat(sorted(slices.Collect(maps.Values(w.pending.ended))), open) {
		if _, recorded := w.written[i.ID]; !recorded {
			own = append(own, Entry{At: i.Begin, Node: w.l.cfg.Node, Incident: &i, Unrecorded: true})
		}
	}
	slices.SortStableFunc(own, func(a, b Entry) int { return cmp.Compare(a.At, b.At) })
	w.l.memory.set(own, len(open), note)
}
