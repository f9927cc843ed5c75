package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// DuplicateName is a name under which more than one server is connected.
type DuplicateName struct {
	Name string `json:"name"`
	Runs []Run  `json:"runs"` // by their beginning, as far as it is known
}

// Run is one of the servers of a DuplicateName.
type Run struct {
	ID      string      `json:"id"`                // nats-server's
	Address string      `json:"address,omitempty"` // where its connection comes from
	Host    string      `json:"host,omitempty"`    // what it calls its machine
	PID     int         `json:"pid,omitempty"`
	Listen  string      `json:"listen,omitempty"` // for clients
	Started core.Millis `json:"started,omitempty"`
}

// mergeDuplicateNames are the names that this node, or another one that answers, hears twice. Two
// servers of one name do not hear each other, so that each of them learns it from a third.
func (m *observations) mergeDuplicateNames(own []DuplicateName, now time.Time) []DuplicateName {
	byName := map[string]*DuplicateName{}
	add := func(names []DuplicateName) {
		for _, t := range names {
			if byName[t.Name] == nil && validName(t.Name) && len(byName) < maxNodes {
				byName[t.Name] = &DuplicateName{Name: t.Name}
			}
			if known := byName[t.Name]; known != nil {
				known.add(t.Runs)
			}
		}
	}
	add(own)
	for _, n := range m.answering(now) {
		if n.info != nil && n.name != m.cfg.Name {
			add(n.info.DuplicateNames)
		}
	}
	var out []DuplicateName
	for _, t := range byName {
		for i := range t.Runs {
			t.Runs[i].describe(m.runs[t.Runs[i].ID])
		}
		slices.SortFunc(t.Runs, func(a, b Run) int { return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.ID, b.ID)) })
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b DuplicateName) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// maxRuns bounds what other nodes can make this one remember of a name.
const maxRuns = 8

func (t *DuplicateName) add(runs []Run) {
	for _, r := range runs {
		i := slices.IndexFunc(t.Runs, func(known Run) bool { return known.ID == r.ID })
		switch {
		case i >= 0:
			t.Runs[i] = t.Runs[i].or(r)
		case len(t.Runs) < maxRuns:
			t.Runs = append(t.Runs, r)
		}
	}
}

// or fills what is not known of a run from another report of it.
func (r Run) or(other Run) Run {
	r.Address = cmp.Or(r.Address, other.Address)
	if r.Host == "" {
		r.Host, r.PID, r.Listen, r.Started = other.Host, other.PID, other.Listen, other.Started
	}
	return r
}

// describe adds what the server says of itself.
func (r *Run) describe(i Info) {
	if i.ID == r.ID {
		r.Host, r.PID, r.Listen, r.Started = i.Host, i.PID, i.Listen, i.Started
	}
}

// hearRun keeps what each server says of itself, whichever of a name counts as the node.
func (m *observations) hearRun(i Info) {
	if i.ID == "" {
		return // an older node
	}
	if len(m.runs) >= 2*maxNodes {
		clear(m.runs)
	}
	i.DuplicateNames, i.Operators = nil, nil
	m.runs[i.ID] = i
}

// isOtherRun is true for a server that answers and has the name of a node that another
// server has. The first one stays the node, so that the node's state does not alternate.
func (m *observations) isOtherRun(name, id string, now time.Time) bool {
	n := m.nodes[name]
	return n != nil && m.duplicates[name] && id != "" && n.server.ID != "" && n.server.ID != id && now.Sub(n.heard) <= m.cfg.lost
}

// judgeDuplicateNames is about two servers that are one member of every raft group.
func judgeDuplicateNames(v View) []Finding {
	var fs []Finding
	for _, t := range v.DuplicateNames {
		var places []string
		for _, r := range t.Runs {
			places = append(places, r.place())
		}
		fs = append(fs, Finding{
			Critical, "node." + t.Name,
			fmt.Sprintf("%s runs %s: %s. They vote as one node, so that data can be lost.", t.Name, times(len(t.Runs)), join(places)),
			fmt.Sprintf("keep the %s that has the node's data, and stop the other", t.Name) + v.serviceCommand("stop", []string{t.Name}),
		})
	}
	return fs
}

func times(n int) string {
	if n == 2 {
		return "twice"
	}
	return number(n) + " times"
}

// place says where a server is to be found.
func (r Run) place() string {
	where := "at " + cmp.Or(r.Address, "an unknown address")
	if r.Host != "" {
		where = "on " + shownText(r.Host, ".:")
		if r.Address != "" {
			where += " at " + r.Address
		}
	}
	if r.PID == 0 {
		return where
	}
	return fmt.Sprintf("%s (process %d, listening on %s)", where, r.PID, shownText(r.Listen, ".:[]"))
}

// duplicateNames notes names that are there twice, and that are not any more.
func (d *diff) duplicateNames(old, next View) {
	has := func(v View, name string) bool {
		return slices.ContainsFunc(v.DuplicateNames, func(t DuplicateName) bool { return t.Name == name })
	}
	for _, t := range next.DuplicateNames {
		if !has(old, t.Name) {
			d.add(Critical, t.Name, "runs %s", times(len(t.Runs)))
		}
	}
	for _, t := range old.DuplicateNames {
		if !has(next, t.Name) {
			d.add(Note, t.Name, "runs once")
		}
	}
}
