package events

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	"unibus/core"
	"unibus/core/cluster"
)

// maxEntries bounds the memory of a node: the stream holds fewer records, because of its bytes.
const maxEntries = 20_000

// Entry is one line of the history: an incident as it was recorded last, or a line that belongs to none.
type Entry struct {
	Place      uint64            `json:"place,omitempty"`   // in the history; 0: it is not recorded yet
	Updated    uint64            `json:"updated,omitempty"` // where its last state is in the history
	At         core.Millis       `json:"at"`                // when it happened, or began
	Node       string            `json:"node"`              // that recorded it
	Event      *cluster.Event    `json:"event,omitempty"`
	Incident   *cluster.Incident `json:"incident,omitempty"`
	Dropped    *Dropped          `json:"dropped,omitempty"`
	Unrecorded bool              `json:"unrecorded,omitempty"` // this node alone knows it
}

// isAfter is true of what happened since a moment, or still went on then.
func (e Entry) isAfter(since core.Millis) bool {
	switch {
	case e.Incident != nil:
		return e.Incident.IsOpen() || e.Incident.End >= since
	case e.Dropped != nil:
		return e.Dropped.To >= since
	}
	return e.At >= since
}

// memory is the history as a node knows it. Several goroutines may read it.
type memory struct {
	mu         sync.Mutex
	entries    []*Entry // by place
	incidents  map[string]*Entry
	unrecorded []Entry
	open       int
	wasCut     bool // the oldest entries are not in it
	note       string
}

// entriesPerRecord is more than one record has entries.
const entriesPerRecord = 1024

// add takes a record in.
func (m *memory) add(seq uint64, r record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place := seq * entriesPerRecord
	next := func(e Entry) {
		e.Place, e.Updated, e.Node = place, place, r.Node
		place++
		m.put(&e)
	}
	for _, e := range r.Events {
		next(Entry{At: e.At, Event: &e})
	}
	for _, i := range r.Incidents {
		next(Entry{At: i.Begin, Incident: &i})
	}
	if r.Dropped != nil {
		next(Entry{At: r.Dropped.From, Dropped: r.Dropped})
	}
	if over := len(m.entries) - maxEntries; over > 0 {
		for _, e := range m.entries[:over] {
			if e.Incident != nil {
				delete(m.incidents, e.Incident.ID)
			}
		}
		m.entries, m.wasCut = slices.Clone(m.entries[over:]), true
	}
}

// put adds an entry. An incident that is there gets its new state.
func (m *memory) put(e *Entry) {
	if e.Incident == nil {
		m.entries = append(m.entries, e)
		return
	}
	if m.incidents == nil {
		m.incidents = map[string]*Entry{}
	}
	if known := m.incidents[e.Incident.ID]; known != nil {
		known.Incident, known.Updated, known.Node = e.Incident, e.Place, e.Node
		return
	}
	m.incidents[e.Incident.ID] = e
	m.entries = append(m.entries, e)
}

// set replaces what is not recorded yet, and says how complete the rest is.
func (m *memory) set(unrecorded []Entry, open int, note string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unrecorded, m.open, m.note = unrecorded, open, note
}

// linesBefore are the newest lines of before a moment, those of incidents among them, oldest first.
func (m *memory) linesBefore(at core.Millis, limit int) []cluster.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []cluster.Event
	add := func(e cluster.Event) {
		if e.At < at {
			e.Seq = 0 // that of a node's own lines
			out = append(out, e)
		}
	}
	for _, e := range m.entries {
		switch {
		case e.Event != nil:
			add(*e.Event)
		case e.Incident != nil:
			for _, line := range e.Incident.Lines {
				add(line)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b cluster.Event) int { return cmp.Compare(a.At, b.At) })
	return out[max(0, len(out)-limit):]
}

// Query asks for a page: the newest entries before a place, or those that are new after one.
type Query struct {
	Since  core.Millis `json:"since,omitempty"`  // 0: from the beginning
	Before uint64      `json:"before,omitempty"` // 0: the newest page
	After  uint64      `json:"after,omitempty"`  // follows: the events recorded or changed after this Updated, oldest first
	Limit  int         `json:"limit,omitempty"`
}

// Page is a part of the history.
type Page struct {
	Node    string  `json:"node"`                // who answered
	Entries []Entry `json:"entries"`             // newest first; oldest first where a Query follows
	Next    uint64  `json:"next_page,omitempty"` // the next page's Before, 0 at the end
	Last    uint64  `json:"last"`                // the newest Updated, to follow from
	Note    string  `json:"note,omitempty"`      // why something may be missing; "": nothing is
}

const (
	// MaxPage is how many entries a page has at the most.
	MaxPage = 500
	// pageBytes is how many bytes they have: far below the payload limit.
	pageBytes = 400 << 10
)

// page answers a Query from memory.
func (m *memory) page(q Query) Page {
	m.mu.Lock()
	defer m.mu.Unlock()
	if q.Limit <= 0 || q.Limit > MaxPage {
		q.Limit = MaxPage
	}
	p := Page{Entries: []Entry{}, Note: m.note}
	for _, e := range m.entries {
		p.Last = max(p.Last, e.Updated)
	}
	if m.wasCut && p.Note == "" {
		p.Note = "The oldest entries are not shown: there are more than a node keeps in memory."
	}
	if q.After > 0 {
		m.follow(&p, q)
	} else {
		m.backward(&p, q)
	}
	return p
}

// follow adds what changed after a place. A page that is full ends at its own last one.
func (m *memory) follow(p *Page, q Query) {
	var changed []Entry
	for _, e := range m.entries {
		if e.Updated > q.After {
			changed = append(changed, *e)
		}
	}
	slices.SortFunc(changed, func(a, b Entry) int { return int(int64(a.Updated - b.Updated)) })
	size := 0
	for _, e := range changed {
		if size += e.size(); len(p.Entries) > 0 && (len(p.Entries) == q.Limit || size > pageBytes) {
			p.Last = p.Entries[len(p.Entries)-1].Updated
			return
		}
		p.Entries = append(p.Entries, e)
	}
	p.Entries = append(p.Entries, m.unrecorded...)
}

func (m *memory) backward(p *Page, q Query) {
	size := 0
	add := func(e Entry) bool {
		if !e.isAfter(q.Since) {
			return true
		}
		if size += e.size(); len(p.Entries) > 0 && (len(p.Entries) == q.Limit || size > pageBytes) {
			return false
		}
		p.Entries = append(p.Entries, e)
		return true
	}
	if q.Before == 0 { // all of it, or they would be asked for again; there is a bound to them
		for _, e := range slices.Backward(m.unrecorded) {
			if e.isAfter(q.Since) {
				p.Entries = append(p.Entries, e)
			}
		}
		size, q.Limit = 0, q.Limit+len(p.Entries)
	}
	for _, e := range slices.Backward(m.entries) {
		if q.Before > 0 && e.Place >= q.Before {
			continue
		}
		if !add(*e) {
			for _, last := range slices.Backward(p.Entries) {
				if last.Place > 0 {
					p.Next = last.Place
					return
				}
			}
			p.Next = e.Place + 1
			return
		}
	}
}

func (e Entry) size() int {
	data, _ := json.Marshal(e) // plain values
	return len(data)
}
