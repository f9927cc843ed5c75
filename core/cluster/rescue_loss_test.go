package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRescueLoss: a known loss is told by bucket, and an unknown one is said to be unknown.
func TestRescueLoss(t *testing.T) {
	t.Parallel()
	v := with(lose(healthy(3, 3), "n2", "n3"), func(v *View) {
		for i := range v.Buckets {
			v.Buckets[i].Leader = ""
		}
		v.Buckets[0].Loss, v.Buckets[1].Loss, v.Buckets[2].Loss = &SeqLoss{1042, 1040}, &SeqLoss{7, 7}, &SeqLoss{7, 8}
		v.InternalBuckets = nil
	})
	got := LossSentences(v.From, RescueLoss(v))
	for _, want := range []string{
		"as far as n1 saw them, are on no node that is left: users 2 (of 1042).",
		"2 buckets have everything that n1 saw; writes of the last five seconds before the loss may be missing.",
		"Nothing is known about room_keys and rooms_by_member: n1 has seen no leader since its own start",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if got := LossSentences("n1", RescueLoss(healthy(3, 3))); got != "" {
		t.Errorf("with leaders: %q", got)
	}
}

// TestLossIsKnownFromAnswers: only what answers now is left, and without a leader that was
// seen before, nothing is known.
func TestLossIsKnownFromAnswers(t *testing.T) {
	t.Parallel()
	at := func(round int, seq uint64) report {
		var s stream
		s.State.LastSeq = seq
		return report{&observedNode{streamsRound: round}, s}
	}
	b := Bucket{Name: "UNIBUS_users", LastSeq: 10}
	for name, c := range map[string]struct {
		led  bool
		rs   []report
		want *SeqLoss
	}{
		"two are left":        {true, []report{at(3, 7), at(3, 8)}, &SeqLoss{10, 8}},
		"one has fallen away": {true, []report{at(3, 7), at(2, 10)}, &SeqLoss{10, 7}},
		"none answers":        {true, []report{at(2, 10)}, nil},
		"no leader was seen":  {false, []report{at(3, 7)}, nil},
	} {
		m := &observations{round: 3, led: map[string]bool{"UNIBUS_users": c.led}}
		if d := cmp.Diff(c.want, m.lossOf(b, c.rs)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
