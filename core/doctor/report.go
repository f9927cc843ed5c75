package doctor

import "unibus/core"

// State says what a check found.
type State string

// The states of a check.
const (
	OK      State = "ok"
	Wrong   State = "wrong"
	Unknown State = "unknown"        // it could not be carried out
	Skipped State = "not-applicable" // there is nothing to check
)

// Check is one thing that was checked.
type Check struct {
	Name   string  `json:"name"` // replicas.UNIBUS_users
	State  State   `json:"state"`
	Text   string  `json:"text"`            // what was found
	Means  string  `json:"means,omitempty"` // of what is wrong
	Next   string  `json:"next,omitempty"`
	Faults []Fault `json:"faults,omitempty"` // at most MaxFaults
	More   int     `json:"more,omitempty"`   // faults that are not listed
}

// Fault is one row that is wrong, and the node whose replica has it so.
type Fault struct {
	Node   string `json:"node,omitempty"` // "": on every node
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Text   string `json:"text"`
}

// MaxFaults is how many faults of a check are listed.
const MaxFaults = 20

// Report is what one node found.
type Report struct {
	Node   string      `json:"node"` // who checked
	At     core.Millis `json:"at"`
	Checks []Check     `json:"checks"`
}

// Worst is Wrong if a check found something, else Unknown if one could not be carried out, else OK.
func (r Report) Worst() State {
	worst := OK
	for _, c := range r.Checks {
		switch c.State {
		case Wrong:
			return Wrong
		case Unknown:
			worst = Unknown
		}
	}
	return worst
}

// add lists a fault, or counts it.
func (c *Check) add(f Fault) {
	c.State = Wrong
	if len(c.Faults) >= MaxFaults {
		c.More++
		return
	}
	c.Faults = append(c.Faults, f)
}

// count is how many faults were found.
func (c *Check) count() int { return len(c.Faults) + c.More }

// unknown is the check that an error ended.
func unknown(name string, err error) Check {
	e := core.AsError(err)
	next := e.Next
	if next == "" {
		next = "try again: unibusd doctor"
	}
	return Check{Name: name, State: Unknown, Text: "this could not be checked: " + e.Text, Next: next}
}
