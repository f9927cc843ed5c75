package feed_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/feed"
)

// line is an entry that belongs to no incident. Without a place this node alone knows it.
func line(place uint64, at core.Millis, text string) admin.HistoryEntry {
	return admin.HistoryEntry{Place: place, Updated: place, At: at, Event: &cluster.Event{At: at, About: "n3", Text: text}, Unrecorded: place == 0}
}

func incident(place, updated uint64, at, end core.Millis) admin.HistoryEntry {
	return admin.HistoryEntry{Place: place, Updated: updated, At: at, Incident: &cluster.Incident{ID: "i1", Begin: at, End: end}, Unrecorded: place == 0}
}

// historySource answers from entries, as a node does.
type historySource struct {
	fakeSource
	entries []admin.HistoryEntry
	err     error
	asked   []admin.HistoryRequest
}

func newHistorySource() *historySource {
	s := &historySource{}
	s.status = func() (admin.Status, error) { return admin.Status{}, nil }
	s.history = func(r admin.HistoryRequest) (admin.History, error) {
		s.asked = append(s.asked, r)
		if s.err != nil {
			return admin.History{}, s.err
		}
		out := admin.History{}
		for _, e := range s.entries {
			out.Last = max(out.Last, e.Updated)
			if e.Updated > r.After || e.Unrecorded {
				out.Entries = append(out.Entries, e)
			}
		}
		return out, nil
	}
	return s
}

func historyText(s *feed.Snapshot) string {
	var parts []string
	for _, e := range s.History.Value.Entries {
		switch {
		case e.Event != nil:
			parts = append(parts, e.Event.Text)
		case e.Incident != nil:
			parts = append(parts, fmt.Sprint(e.Incident.ID, e.Incident.End))
		}
	}
	return strings.Join(parts, " ")
}

func TestHistoryFollows(t *testing.T) {
	t.Parallel()
	s := newHistorySource()
	f := newFastFeed(s)
	s.err = core.Errorf(core.KindUnavailable, "no answer")
	f.PollOnce(context.Background())
	s.err = nil
	for _, c := range []struct {
		name    string
		entries []admin.HistoryEntry
		want    string
	}{
		{"the first answer", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two")}, "two one"},
		{"nothing new", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two")}, "two one"},
		{"what this node alone knows", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two"), incident(0, 0, 3000, 0)}, "i10 two one"},
		{"it is recorded, late", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two"), line(3, 4000, "four"), incident(4, 4, 3000, 0)}, "four i10 two one"},
		{"it ends", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two"), line(3, 4000, "four"), incident(4, 5, 3000, 3500)}, "four i13500 two one"},
		{"a new state is not recorded yet", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two"), line(3, 4000, "four"), incident(4, 5, 3000, 3500), incident(0, 0, 3000, 0)}, "four i10 two one"},
		{"another node that has not read all of it", []admin.HistoryEntry{line(1, 1000, "one")}, "one"},
		{"which has, then", []admin.HistoryEntry{line(1, 1000, "one"), line(2, 2000, "two"), incident(4, 5, 3000, 3500)}, "i13500 two one"},
	} {
		s.entries = c.entries
		if got := historyText(f.PollOnce(context.Background())); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	before := s.asked[len(s.asked)-1]
	s.err = core.Errorf(core.KindUnavailable, "no answer")
	snap := f.PollOnce(context.Background())
	if got := historyText(snap); got != "i13500 two one" || snap.History.Err == nil {
		t.Errorf("after a failed request: %q, %v", got, snap.History.Err)
	}
	s.err = nil
	f.PollOnce(context.Background())
	if last := s.asked[len(s.asked)-1]; before.After == 0 || last.After != 5 {
		t.Errorf("asked after %d and %d, want 5", before.After, last.After)
	}
}

// TestSnapshotsKeepTheirHistory: a published snapshot is not changed by a later answer.
func TestSnapshotsKeepTheirHistory(t *testing.T) {
	t.Parallel()
	s := newHistorySource()
	f := newFastFeed(s)
	s.entries = []admin.HistoryEntry{incident(1, 1, 3000, 0)}
	first := f.PollOnce(context.Background())
	s.entries = []admin.HistoryEntry{incident(1, 2, 3000, 3500), line(0, 9000, "new")}
	second := f.PollOnce(context.Background())
	if a, b := historyText(first), historyText(second); a != "i10" || b != "new i13500" {
		t.Errorf("%q, then %q", a, b)
	}
}
