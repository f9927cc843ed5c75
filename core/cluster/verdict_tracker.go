package cluster

import (
	"time"

	"unibus/core"
)

const (
	// holdTime is how long everything is healthy before that counts.
	holdTime = 5 * time.Second
	// maxHoldTime is that of what comes and goes: each time doubles it.
	maxHoldTime = 10 * time.Minute
	// calmTime is how long after its end something may begin again and is the same.
	calmTime = 10 * time.Minute
)

// calm says when something is over that may come and go: after holdTime, and after a longer
// time with each time that it came back. So what flaps does not end a thousand times.
type calm struct {
	since core.Millis   // healthy since then; 0: it is not
	hold  time.Duration // 0: holdTime
	ended core.Millis   // when it was over last; 0: never
}

// observe is true once all has been healthy for long enough, and says since when.
func (c *calm) observe(healthy bool, at core.Millis) (since core.Millis, over bool) {
	if !healthy {
		c.since = 0
		return 0, false
	}
	if c.since == 0 {
		c.since = at
	}
	return c.since, at.Time().Sub(c.since.Time()) >= max(c.hold, holdTime)
}

// over notes the end, so that the next one takes longer if it comes soon.
func (c *calm) over(end, at core.Millis) {
	next := 2 * max(c.hold, holdTime)
	if c.ended != 0 && end.Time().Sub(c.ended.Time()) > max(2*calmTime, 3*c.hold) {
		next = 2 * holdTime
	}
	c.hold, c.ended, c.since = min(next, maxHoldTime), at, 0
}

// AboutVerdict is the About of a line on how the verdict changed. Its text differs between nodes.
const AboutVerdict = "verdict"

// VerdictChange is a verdict that counts, and the one before it.
type VerdictChange struct {
	At       core.Millis `json:"at"`
	From     Level       `json:"from,omitempty"` // "" for the first of a node
	To       Level       `json:"to"`
	Sentence string      `json:"sentence"`
	Do       string      `json:"do,omitempty"`
}

// IsWorse is true of a change to a worse verdict.
func (c VerdictChange) IsWorse() bool { return c.To.rank() > max(c.From.rank(), Healthy.rank()) }

// VerdictTracker says when the verdict changes. A worse one counts at once, a better one once it
// has held. Several goroutines must not use it at once.
type VerdictTracker struct {
	begun   core.Millis
	verdict Level // that counts; "": none yet
	holding calm
}

// Verdict is the one that counts, "" before the first.
func (t *VerdictTracker) Verdict() Level { return t.verdict }

// Observe returns a change. The first verdict counts when it is healthy, or the node has been up for
// so long that it hears every other one.
func (t *VerdictTracker) Observe(o Observation) (VerdictChange, bool) {
	if t.begun == 0 {
		t.begun = o.At
	}
	j := o.Judgment
	if o.View.At == 0 || t.verdict == "" && j.Verdict != Healthy && o.At.Time().Sub(t.begun.Time()) < startTime {
		return VerdictChange{}, false
	}
	isBetter := t.verdict != "" && j.Verdict.rank() < t.verdict.rank()
	_, held := t.holding.observe(isBetter, o.At)
	if j.Verdict == t.verdict || isBetter && !held {
		return VerdictChange{}, false
	}
	if isBetter {
		t.holding.over(o.At, o.At)
	}
	c := VerdictChange{At: o.At, From: t.verdict, To: j.Verdict, Sentence: j.Sentence, Do: j.Do}
	t.verdict = j.Verdict
	return c, true
}
