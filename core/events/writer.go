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

// writer owns all that changes with an observation. One goroutine uses it.
type writer struct {
	l         *Log
	run       string
	stream    *stream // nil on a node alone
	incidents cluster.IncidentTracker
	verdicts  cluster.VerdictTracker
	verdict   cluster.VerdictChange // the last one
	pending   *pending
	written   map[string]writtenState // open incidents as the stream has them, by ID
	titles    map[string]string       // open incidents as the log has them, by ID
	since     core.Millis             // from then on what is not healthy counts; 0: not yet
	caughtUp  bool                    // the whole stream was read once
	inFlight  *record                 // it is not known whether it was written
	told      cluster.Level           // the verdict that webhooks were told last, by any node
	toldAlone *cluster.VerdictChange  // this node told it, and the stream does not have it
	noLeader  core.Millis             // since then the stream has no leader or takes no record; 0: it does
	alone     uint64                  // how many records a node alone has
}

// writtenState is what makes another write of an incident necessary.
type writtenState struct {
	at     core.Millis
	level  cluster.Level
	times  int
	lines  int
	isOpen bool
}

// openWrites is how often an open incident is written at most while only its lines change.
const openWrites = core.Millis(5000)

func stateOf(i cluster.Incident, at core.Millis) writtenState {
	return writtenState{at, i.Level, i.Times, len(i.Lines) + i.LeftOut, i.IsOpen()}
}

// observe takes one observation in, and writes what is to be written.
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
			c.From = w.told // of a writer before this node was started
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
		w.keep(o.At)
		w.tell()
		w.show(fmt.Sprintf("%s runs alone: it keeps events in memory, and a restart forgets them.", w.l.cfg.Node))
		return
	}
	w.exchange(ctx, o.Observation)
}

// keep is what a node alone does in place of writing.
func (w *writer) keep(at core.Millis) {
	for {
		r := w.next(at, true)
		if r.isEmpty() {
			return
		}
		w.alone++
		w.recorded(w.alone, r)
	}
}

// exchange reads what other nodes wrote, and writes if it is this node's turn.
func (w *writer) exchange(ctx context.Context, o cluster.Observation) {
	bucket, leads := w.streamIn(o.View)
	if bucket.Leader == "" {
		w.noLeader = cmp.Or(w.noLeader, o.At)
		w.tellAlone(o)
		w.show(w.whyIncomplete())
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
			w.tellAlone(o)
		}
	}
	w.show(w.whyIncomplete())
}

// streamIn is the stream as the view has it, and whether this node leads it.
func (w *writer) streamIn(v cluster.View) (b cluster.Bucket, leads bool) {
	i := slices.IndexFunc(v.InternalBuckets, func(b cluster.Bucket) bool { return b.Name == Stream })
	if i < 0 {
		return cluster.Bucket{}, false
	}
	return v.InternalBuckets[i], v.InternalBuckets[i].Leader == w.l.cfg.Node
}

func (w *writer) whyIncomplete() string {
	switch {
	case !w.caughtUp && w.noLeader != 0:
		return fmt.Sprintf("%s has not read the history yet, because its stream has no leader: only what this node has seen itself is shown.", w.l.cfg.Node)
	case !w.caughtUp:
		return fmt.Sprintf("%s is still reading the history.", w.l.cfg.Node)
	case w.noLeader != 0:
		return fmt.Sprintf("The stream of events takes no records since %s: this is what %s knows, and it records later what it has seen since then.", w.noLeader.Time().Format(time.RFC3339), w.l.cfg.Node)
	}
	return ""
}

// read reads what is new. Where nothing is, it asks nobody.
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

// recorded takes in what the stream has.
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
		w.told = r.ToldBefore.To
		if isOwn {
			w.toldAlone = nil
		}
	}
	if r.Told != nil {
		w.told = r.Told.To
		if isOwn {
			w.l.cfg.Tell(*r.Told, w.incidents.Open())
		}
	}
}

// adopt has this node go on with an incident of another one. It returns what the stream has of it.
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

// write writes what the stream does not have: all of it where this node leads, else what no node that
// led could see.
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
	r := record{V: recordVersion, ID: newID(), Node: w.l.cfg.Node, Run: w.run, Since: w.since, Through: at - writeDelay, ToldBefore: w.toldAlone}
	lines, incidents := w.pending.late(at)
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
	if c, isNews := w.news(); isNews && w.stream != nil {
		r.Told = &c
	}
	return r
}

// changedIncidents are the incidents that the stream has otherwise or not at all.
func (w *writer) changedIncidents(at core.Millis) (out []cluster.Incident) {
	for _, i := range w.pending.ended {
		out = append(out, i)
	}
	for _, i := range w.incidents.Open() {
		known, now := w.written[i.ID], stateOf(i, at)
		isUrgent := known.level != now.level || known.times != now.times || !known.isOpen
		if isUrgent || known.lines != now.lines && at-known.at >= openWrites {
			out = append(out, i)
		}
	}
	return sorted(out)
}

// show makes all of it visible to readers.
func (w *writer) show(note string) {
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
