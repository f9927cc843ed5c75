package cluster

import (
	"fmt"
	"strings"
)

// SeqLoss compares the last sequence of a bucket that a leader was seen with to the one that
// is left. Both count operations, those of the nodes themselves among them.
type SeqLoss struct {
	Seen uint64 `json:"seen"` // by the looking node, which looks every five seconds at least
	Left uint64 `json:"left"` // the highest on the nodes that answer
}

// Loss is what a rescue may lose of one bucket.
type Loss struct {
	Bucket string   `json:"bucket"`
	Seq    *SeqLoss `json:"seq,omitempty"` // nil: not known
}

// missing is how many operations that were seen are not left.
func (l Loss) missing() uint64 {
	if l.Seq == nil || l.Seq.Seen <= l.Seq.Left {
		return 0
	}
	return l.Seq.Seen - l.Seq.Left
}

// RescueLoss is what is known, before the quorum is lowered, of what the buckets without a
// leader have lost. Afterward new operations hide it.
func RescueLoss(v View) []Loss {
	out := []Loss{}
	for _, b := range v.AllBuckets() {
		if b.Leader == "" {
			out = append(out, Loss{b.Name, b.Loss})
		}
	}
	return out
}

// LossSentences say what may be lost, as the named node saw it. They never say that nothing
// is lost: no node that is left knows of writes after its last look.
func LossSentences(node string, all []Loss) string {
	var lost, unknown []string
	known := 0
	for _, l := range all {
		switch {
		case l.Seq == nil:
			unknown = append(unknown, short(l.Bucket))
		case l.missing() > 0:
			lost = append(lost, fmt.Sprintf("%s %d (of %d)", short(l.Bucket), l.missing(), l.Seq.Seen))
		default:
			known++
		}
	}
	var parts []string
	if len(lost) > 0 {
		parts = append(parts, "The last operations of these buckets, as far as "+node+" saw them, are on no node that is left: "+strings.Join(lost, ", ")+".")
	}
	if known > 0 {
		parts = append(parts, fmt.Sprintf("%d %s everything that %s saw; writes of the last five seconds before the loss may be missing.", known, plural(known, "bucket has", "buckets have"), node))
	}
	if len(unknown) > 0 {
		parts = append(parts, "Nothing is known about "+join(unknown)+": "+node+" has seen no leader since its own start, or no node that is left lists what it has.")
	}
	return strings.Join(parts, " ")
}
