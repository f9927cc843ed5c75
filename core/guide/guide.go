package guide

import (
	"slices"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/doctor"
)

// State says how a step stands.
type State string

// The states of a step.
const (
	Done    State = "done"
	Next    State = "next"    // for the operator to do
	Waiting State = "waiting" // it happens by itself
	Later   State = "later"   // a step before it is not done
	Unsafe  State = "unsafe"  // the guide stops here
)

// Outcome says where a guide stands as a whole.
type Outcome string

// The outcomes. A guide that waits has a next step, too.
const (
	AllDone       Outcome = "done"
	HasNext       Outcome = "next"
	NotApplicable Outcome = "not-applicable"
	IsUnsafe      Outcome = "unsafe"
)

// Step is one line of the checklist. The program found State and Seen; no person ticked it.
type Step struct {
	Title string   `json:"title"`
	Why   string   `json:"why"`
	Do    string   `json:"do,omitempty"`   // what to do, where no command says it all
	Type  []string `json:"type,omitempty"` // commands, to be copied
	Seen  string   `json:"seen"`           // what the program found
	State State    `json:"state"`

	node string // whose process is started or restarted; "": none
}

// Report is a guide, filled in.
type Report struct {
	Guide   string  `json:"guide"`
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`             // the outcome in a sentence
	Resume  string  `json:"resume,omitempty"` // the command that goes on with this guide
	Steps   []Step  `json:"steps"`

	// NeedsProof asks the caller to compare the replicas, and to fill in the guide again
	// with Facts.Proof.
	NeedsProof bool `json:"-"`
	// NeedsRun asks the caller to ask this node itself which run it is, and to fill in the
	// guide again with Facts.Runs.
	NeedsRun string `json:"-"`
	// OldCAs are for Facts.OldCAs from now on: the round goes on with them.
	OldCAs []string `json:"-"`
}

// Facts is what a guide is filled in from.
type Facts struct {
	cluster.View
	cluster.Judgment
	Since core.Millis    // restart: runs that began before are to be restarted
	Args  []string       // nodes that the operator named
	Proof []doctor.Check // the comparison of the replicas; nil: not made

	// Runs are the server ids of nodes by their own word, "" for one that did not answer. The
	// answer of an earlier run counts for some seconds in the View.
	Runs map[string]string

	UserKey *UserKey       // user-key-lost: the key; nil: not read yet
	OldCAs  []string       // certificates: the ids of the CAs that this round replaces; nil: it begins
	Trusted *core.CABundle // the CAs by which the asking program verifies the nodes; nil: those of its system
}

// Guide is one procedure.
type Guide struct {
	Name  string   `json:"name"`
	Short string   `json:"short"` // what it is for
	Args  []string `json:"args,omitempty"`
	plan  func(*checklist)
}

// All are the guides, in the order of the documentation.
func All() []Guide {
	return []Guide{
		{"restart", "Restart every node, one after the other, while the cluster serves", nil, restart},
		{"quorum-lost", "Bring a majority back whose disks are intact", nil, quorumLost},
		{"rescue", "Go on without a majority that is lost for good", nil, rescue},
		{"disk-wiped", "Bring a node back whose data directory is empty", []string{"NODE"}, diskWiped},
		{"disk-full", "Free disk space where it is full, and bring JetStream back", nil, diskFull},
		{"node-lost", "Replace a machine that is lost for good", []string{"OLD", "NEW"}, nodeLost},
		{"operator-key-lost", "Make every node refuse an operator's key that was lost or stolen", []string{"OPERATOR"}, operatorKeyLost},
		{"certificates", "Replace both CAs and every certificate, in a safe order", nil, certificates},
		{"user-key-lost", "Revoke a user's key that was lost or stolen, and replace it", []string{"NKEY"}, userKeyLost},
	}
}

// Named returns a guide. KindNotFound.
func Named(name string) (Guide, error) {
	i := slices.IndexFunc(All(), func(g Guide) bool { return g.Name == name })
	if i < 0 {
		return Guide{}, core.Errorf(core.KindNotFound, "there is no guide %q", name).WithNext("unibusd guide")
	}
	return All()[i], nil
}

// Fill fills the guide in.
func (g Guide) Fill(f Facts) Report {
	c := &checklist{Facts: f, report: Report{Guide: g.Name, Outcome: AllDone, Steps: []Step{}}}
	switch {
	case !f.Clustered && g.NeedsUserKey(f.Args) == "":
		c.notApplicable(f.From + " runs alone: there are no other nodes")
	case f.At == 0:
		c.add(Step{Title: "The asked node sees the cluster", Why: "the later steps depend on it", Seen: f.From + " has heard no node yet"}, Waiting)
	default:
		g.plan(c)
	}
	c.conclude()
	return c.report
}

// checklist is a guide while it is filled in.
type checklist struct {
	Facts
	report Report
	open   bool // a step is not done: later steps wait
}

// add appends a step. Every step behind an open one waits, whatever was found.
func (c *checklist) add(s Step, found State) {
	if found == Next && s.node != "" && !c.open {
		found = c.waitIfUnderWay(&s)
	}
	if s.State = found; c.open {
		s.State, s.Seen = Later, ""
	}
	c.open = c.open || found != Done
	c.report.Steps = append(c.report.Steps, s)
}

// waitIfUnderWay waits where a node that is to be restarted reports another run than the
// View has: the operator has restarted it, and must not do it again.
func (c *checklist) waitIfUnderWay(s *Step) State {
	run, asked := c.Runs[s.node]
	n, _ := c.node(s.node)
	switch {
	case !asked:
		c.report.NeedsRun = s.node
	case run == "" && n.Online:
		s.Seen = s.node + " does not answer any more"
		return Waiting
	case run != "" && (!n.Online || run != n.ID):
		s.Seen = s.node + " has begun another run, and " + c.From + " has not heard it yet"
		return Waiting
	}
	return Next
}

// require adds a step that is done or stands as given.
func (c *checklist) require(s Step, done bool, otherwise State) {
	if done {
		otherwise = Done
	}
	c.add(s, otherwise)
}

func (c *checklist) notApplicable(why string) {
	c.report.Outcome, c.report.Text = NotApplicable, why+"."
}

// conclude says the outcome, which the first step that is not done decides.
func (c *checklist) conclude() {
	if c.report.Outcome == NotApplicable {
		return
	}
	for _, s := range c.report.Steps {
		switch s.State {
		case Done:
			continue
		case Unsafe:
			c.report.Outcome, c.report.Text = IsUnsafe, "Stop here: "+s.Seen+"."
		case Waiting:
			c.report.Outcome, c.report.Text = HasNext, "Wait: "+s.Seen+"."
		default:
			c.report.Outcome, c.report.Text = HasNext, "Next: "+s.Title+"."
		}
		return
	}
	if c.report.Text == "" {
		c.report.Text = "Everything is done."
	}
}

// now is the time by the clock of the node that looked.
func (c *checklist) now() time.Time { return c.At.Time() }
