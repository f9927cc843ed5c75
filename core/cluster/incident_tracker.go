package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

const (
	// joinTime is how long after its beginning an Incident takes a further lost node, or takes
	// a lost node as its cause: a group may notice before the node counts as lost.
	joinTime = electionTime
	// recentTime is how long a line is kept that an Incident which begins now may have begun with.
	recentTime = 5 * time.Second
	// startTime is how long what is not healthy is no Incident yet, after the start of a
	// node: until then it does not hear every other one.
	startTime = electionTime

	maxOpenIncidents  = 100 // a further one is part of the newest
	maxEndedIncidents = 100 // that may begin again
	maxRecentLines    = 200
)

// Observation is what one node saw at a moment.
type Observation struct {
	At       core.Millis
	View     View
	Judgment Judgment
	Events   []Event // since the last Observation
}

// IncidentTracker makes Incidents of Observations. Several goroutines must not use it at once.
type IncidentTracker struct {
	begun   core.Millis // the first Observation; 0: there was none
	settled bool        // the node has seen the cluster healthy, or was up for startTime
	first   map[string]core.Millis
	open    []*trackedIncident
	ended   []*trackedIncident
	recent  []Event
}

// trackedIncident is an Incident with what ends it.
type trackedIncident struct {
	Incident
	began    bool            // in this Observation
	adopted  bool            // this node has not seen it itself
	active   map[string]bool // what is not healthy now
	replicas map[string]bool // those that were counted, by bucket and node
	holding  calm
}

// IncidentChange is an Incident that has changed.
type IncidentChange struct {
	Incident
	Began bool // just now, for the first time or again
}

// Observe returns the Incidents that have changed, each once, as they are now. loose are the
// lines that belong to none.
func (t *IncidentTracker) Observe(o Observation) (changed []IncidentChange, loose []Event) {
	if o.View.At == 0 { // nothing is known yet
		return nil, withoutStart(o)
	}
	faults := faultsOf(o.View, o.Judgment)
	if !t.settled {
		t.start(o, faults)
		o.Events = withoutStart(o)
	}
	if !t.settled {
		return nil, o.Events
	}
	touched := map[*trackedIncident]bool{}
	for _, f := range faults {
		i := t.take(o, f)
		touched[i] = touched[i] || !i.active[f.subject]
		i.began = i.began || i.adopted // this node sees it now
		i.active[f.subject], i.adopted = true, false
		if i.holding.since != 0 { // it was healthy for a while
			i.holding.since = 0
			i.Times++
		}
		if f.level.rank() > i.Level.rank() {
			i.Level = f.level
			touched[i] = true
		}
	}
	t.first = nil
	t.countReplicas(o.View, touched)
	loose = t.addLines(o, touched)
	t.endHealthy(o, faults, touched)
	for i := range touched {
		if touched[i] {
			changed = append(changed, IncidentChange{i.Clone(), i.began})
			i.began = false
		}
	}
	slices.SortFunc(changed, func(a, b IncidentChange) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), strings.Compare(a.ID, b.ID))
	})
	t.forget(o.At)
	return changed, loose
}

// start notes since when the first faults are there, until they count.
func (t *IncidentTracker) start(o Observation, faults []fault) {
	if t.begun == 0 {
		t.begun, t.first = o.At, map[string]core.Millis{}
	}
	t.settled = o.Judgment.Verdict == Healthy || o.At.Time().Sub(t.begun.Time()) >= startTime
	for _, f := range faults {
		if t.first[f.subject] == 0 {
			t.first[f.subject] = o.At
		}
	}
}

// Settled is true once what is not healthy counts.
func (t *IncidentTracker) Settled() bool { return t.settled }

// withoutStart leaves out what a node that has just started learns of the cluster: it is not news.
func withoutStart(o Observation) []Event {
	return slices.DeleteFunc(slices.Clone(o.Events), func(e Event) bool { return isOfCluster(o.View, e.About) || e.About == "migration" })
}

// isOfCluster is true of the About of a line on a node or a group.
func isOfCluster(v View, about string) bool {
	_, isNode := v.node(about)
	return isNode || about == "meta" || about == "authority" || strings.HasPrefix(about, "UNIBUS_")
}

// Open are the Incidents that are not over, oldest first.
func (t *IncidentTracker) Open() []Incident {
	var out []Incident
	for _, i := range t.open {
		out = append(out, i.Clone())
	}
	return out
}

// Adopt has the tracker go on with an Incident that another node has recorded: one of the same
// causes gets its ID, its beginning and its lines. It returns that Incident as it is then.
func (t *IncidentTracker) Adopt(known Incident, at core.Millis) Incident {
	for _, i := range slices.Concat(t.open, t.ended) {
		if i.ID == known.ID || i.IsSameAs(known) {
			i.merge(known)
			if i.adopted && i.IsOpen() && !known.IsOpen() {
				t.endAdopted(i, known.End)
			}
			return i.Clone()
		}
	}
	if !known.IsOpen() && at.Time().Sub(known.End.Time()) > calmTime {
		return known
	}
	i := &trackedIncident{Incident: known.Clone(), adopted: true, active: map[string]bool{}, replicas: map[string]bool{}}
	if known.IsOpen() {
		t.open = append(t.open, i)
	} else {
		t.ended = append(t.ended, i)
		i.holding.over(known.End, known.End)
	}
	return known
}

func (t *IncidentTracker) endAdopted(i *trackedIncident, end core.Millis) {
	t.open = slices.DeleteFunc(t.open, func(o *trackedIncident) bool { return o == i })
	i.End = end
	i.holding.over(end, end)
	t.ended = append(t.ended, i)
}

func (i *trackedIncident) merge(known Incident) {
	if i.ID != known.ID {
		lines := i.Lines
		i.Lines, i.LeftOut = slices.Clone(known.Lines), known.LeftOut
		for _, e := range lines {
			if !slices.ContainsFunc(known.Lines, e.IsSameAs) {
				i.addLine(e)
			}
		}
	}
	i.ID, i.Begin, i.Times = known.ID, known.Begin, max(i.Times, known.Times)
	i.Replicas, i.Elections = max(i.Replicas, known.Replicas), max(i.Elections, known.Elections)
	for _, name := range known.Lost {
		i.lose(fault{subject: "node." + name, kind: faultLost})
	}
	for _, s := range known.Subjects {
		if len(i.Lost) > 0 && kindOf(s) == faultGroup {
			continue // it follows from the lost nodes
		}
		if !slices.Contains(i.Subjects, s) {
			i.Subjects = append(i.Subjects, s)
		}
	}
}

// sameEvent is how far apart two nodes may see the same.
const sameEvent = core.Millis(15 * time.Second / time.Millisecond)

// IsSameAs is true of a line that another node recorded of the same.
func (e Event) IsSameAs(other Event) bool {
	apart := e.At - other.At // compared first: each line is compared with hundreds
	return apart <= sameEvent && apart >= -sameEvent && e.About == other.About && e.Level == other.Level && e.Text == other.Text
}

// take returns the Incident that a fault belongs to, a new one if there is none.
func (t *IncidentTracker) take(o Observation, f fault) *trackedIncident {
	if i := t.openOf(f, o.At); i != nil {
		return i
	}
	if i := t.again(f, o.At); i != nil {
		return i
	}
	if len(t.open) >= maxOpenIncidents {
		return t.open[len(t.open)-1]
	}
	i := &trackedIncident{
		Incident: Incident{Subjects: []string{f.subject}, Lost: []string{}, Level: f.level, Cause: f.cause, Begin: t.beginOf(o, f), Times: 1, Lines: []Event{}},
		began:    true, active: map[string]bool{}, replicas: map[string]bool{},
	}
	i.ID = t.newID(i.Begin, o.View.From)
	if f.kind == faultLost {
		i.Lost = append(i.Lost, strings.TrimPrefix(f.subject, "node."))
	}
	t.open = append(t.open, i)
	return i
}

// beginOf is when a fault began: a lost node was last heard then.
func (t *IncidentTracker) beginOf(o Observation, f fault) core.Millis {
	begin := o.At
	if at := t.first[f.subject]; at != 0 {
		begin = at
	}
	n, _ := o.View.node(strings.TrimPrefix(f.subject, "node."))
	if f.kind == faultLost && n.HeardMS > 0 && n.HeardMS < joinTime.Milliseconds() {
		begin = min(begin, o.At-core.Millis(n.HeardMS))
	}
	return begin
}

func (t *IncidentTracker) newID(begin core.Millis, node string) string {
	first := begin.Time().Format("20060102T150405.000Z") + "-" + node
	id := first
	for n := 2; slices.ContainsFunc(slices.Concat(t.open, t.ended), func(i *trackedIncident) bool { return i.ID == id }); n++ {
		id = fmt.Sprintf("%s-%d", first, n)
	}
	return id
}

// openOf returns the open Incident that a fault belongs to.
func (t *IncidentTracker) openOf(f fault, at core.Millis) *trackedIncident {
	for _, i := range t.open {
		if i.active[f.subject] || f.kind != faultGroup && slices.Contains(i.Subjects, f.subject) {
			i.lose(f)
			return i
		}
	}
	for _, i := range slices.Backward(t.open) {
		isYoung := at.Time().Sub(i.Begin.Time()) <= joinTime
		switch {
		case f.kind == faultLost && i.isGrouped() && isYoung:
			i.lose(f)
			return i
		case f.kind == faultGroup && i.isGrouped():
			return i
		case f.kind == faultOther && slices.ContainsFunc(i.Lost, func(n string) bool { return names(f.cause, n) }):
			return i
		}
	}
	return nil
}

// lose notes that a node is lost which belongs to the Incident: it is the cause of what
// groups noticed before.
func (i *trackedIncident) lose(f fault) {
	name := strings.TrimPrefix(f.subject, "node.")
	if f.kind != faultLost || slices.Contains(i.Lost, name) {
		return
	}
	if len(i.Lost) == 0 {
		i.Subjects = slices.DeleteFunc(i.Subjects, func(s string) bool { return kindOf(s) == faultGroup })
	}
	i.Lost = append(i.Lost, name)
	slices.Sort(i.Lost)
	if !slices.Contains(i.Subjects, f.subject) {
		i.Subjects = append(i.Subjects, f.subject)
	}
	i.Cause = fmt.Sprintf("%s %s not answer.", join(i.Lost), plural(len(i.Lost), "does", "do"))
}

// names is true of a text that has a name as a word.
func names(text, name string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,.:;()", r) }), name)
}

// again opens an Incident that was over a short while ago, and has begun once more.
func (t *IncidentTracker) again(f fault, at core.Millis) *trackedIncident {
	for n, i := range slices.Backward(t.ended) {
		calm := at.Time().Sub(i.End.Time())
		if slices.Contains(i.Subjects, f.subject) && calm <= calmTime || f.kind == faultGroup && i.isGrouped() && calm <= joinTime {
			t.ended = slices.Delete(t.ended, n, n+1)
			t.open = append(t.open, i)
			i.End, i.began = 0, true
			i.holding.since = at // it was healthy until now
			return i
		}
	}
	return nil
}

// countReplicas counts the replicas that are not current.
func (t *IncidentTracker) countReplicas(v View, touched map[*trackedIncident]bool) {
	for _, b := range v.AllBuckets() {
		for _, r := range b.Replicas {
			if s := r.settled(); s == ReplicaCurrent || s == ReplicaUnknown {
				continue
			}
			i, key := t.groupedOf(r.Node), b.Name+" "+r.Node
			if i != nil && !i.replicas[key] {
				i.replicas[key] = true
				i.Replicas = max(i.Replicas, len(i.replicas))
				touched[i] = true
			}
		}
	}
}

// groupedOf is the open Incident of a lost node, or the newest one that lines about groups belong to.
func (t *IncidentTracker) groupedOf(node string) *trackedIncident {
	for _, i := range t.open {
		if slices.Contains(i.Lost, node) {
			return i
		}
	}
	for _, i := range slices.Backward(t.open) {
		if i.isGrouped() {
			return i
		}
	}
	return nil
}

// addLines gives each line to its Incident, also those that came shortly before one began.
func (t *IncidentTracker) addLines(o Observation, touched map[*trackedIncident]bool) (loose []Event) {
	t.recent = append(t.recent, o.Events...)
	slices.SortStableFunc(t.recent, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	var kept []Event
	for _, e := range t.recent {
		isOld := o.At.Time().Sub(e.At.Time()) > recentTime
		switch i := t.incidentOf(o.View, e); {
		case i != nil:
			i.addLine(e)
			touched[i] = true
			if e.Kind == EventElection {
				i.Elections++
			}
		case isOld || len(t.recent)-len(kept) > maxRecentLines:
			loose = append(loose, e)
		default:
			kept = append(kept, e)
		}
	}
	t.recent = kept
	return loose
}

// incidentOf returns the open Incident that a line belongs to.
func (t *IncidentTracker) incidentOf(v View, e Event) *trackedIncident {
	for _, i := range t.open {
		if slices.Contains(i.Subjects, "node."+e.About) || slices.Contains(i.Subjects, "bucket."+e.About) {
			return i
		}
	}
	if isOfCluster(v, e.About) {
		return t.groupedOf("")
	}
	return nil
}

// endHealthy ends the Incidents of which everything has been healthy for long enough.
func (t *IncidentTracker) endHealthy(o Observation, faults []fault, touched map[*trackedIncident]bool) {
	var still []*trackedIncident
	for _, i := range t.open {
		for s := range i.active {
			if !slices.ContainsFunc(faults, func(f fault) bool { return f.subject == s }) {
				delete(i.active, s)
			}
		}
		if since, over := i.holding.observe(len(i.active) == 0, o.At); over {
			i.End = max(since, i.Begin)
			i.holding.over(i.End, o.At)
			touched[i] = true
			t.ended = append(t.ended, i)
			continue
		}
		still = append(still, i)
	}
	t.open = still
}

// forget drops the Incidents that are over for so long that they do not begin again.
func (t *IncidentTracker) forget(at core.Millis) {
	t.ended = slices.DeleteFunc(t.ended, func(i *trackedIncident) bool { return at.Time().Sub(i.End.Time()) > calmTime })
	t.ended = t.ended[max(0, len(t.ended)-maxEndedIncidents):]
}
