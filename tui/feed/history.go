package feed

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"unibus/core/admin"
)

// History is what happened in the cluster, the newest first.
type History struct {
	Entries []admin.HistoryEntry
	Note    string // why something may be missing; "": nothing is

	last     uint64               // the newest state that was read; 0: none
	recorded []admin.HistoryEntry // Entries without those that one node alone knows
}

const (
	// maxHistory bounds the entries; the newest are kept.
	maxHistory = 2000
	// firstHistory is how many entries are read first: more than a screen has lines.
	firstHistory = 300
)

// fetchHistory asks for what is new since the last answer. Every node numbers the entries
// alike. A node that knows less than the last one is asked for all that it knows.
func (f *Feed) fetchHistory(ctx context.Context) (History, error) {
	known := f.Snapshot().History.Value
	if known.last > 0 {
		got, err := f.cfg.Client.History(ctx, admin.HistoryRequest{After: known.last})
		if err != nil || got.Last >= known.last {
			return known.with(sanitized(got, f.cfg.Sanitize)), err
		}
	}
	got, err := f.cfg.Client.History(ctx, admin.HistoryRequest{Limit: firstHistory})
	return History{}.with(sanitized(got, f.cfg.Sanitize)), err
}

// with is a history and what is new in an answer. It shares nothing that it changes.
func (h History) with(got admin.History) History {
	if len(got.Entries) == 0 && len(h.Entries) == len(h.recorded) && h.Note == got.Note {
		h.last = max(h.last, got.Last)
		return h
	}
	var recorded, unrecorded []admin.HistoryEntry
	for _, e := range got.Entries {
		if e.Unrecorded {
			unrecorded = append(unrecorded, e)
		} else {
			recorded = append(recorded, e)
		}
	}
	out := History{Note: got.Note, last: max(h.last, got.Last), recorded: merge(h.recorded, recorded)}
	out.recorded = out.recorded[:min(len(out.recorded), maxHistory)]
	out.Entries = merge(out.recorded, unrecorded)
	return out
}

// merge adds entries, or their new states, and sorts all of them.
func merge(known, fresh []admin.HistoryEntry) []admin.HistoryEntry {
	if len(fresh) == 0 {
		return known
	}
	out, at := slices.Clone(known), make(map[string]int, len(known)+len(fresh))
	for i, e := range known {
		at[HistoryKey(e)] = i
	}
	for _, e := range fresh {
		if i, ok := at[HistoryKey(e)]; ok {
			out[i] = e
			continue
		}
		at[HistoryKey(e)] = len(out)
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b admin.HistoryEntry) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(b.Place, a.Place))
	})
	return out
}

// HistoryKey stays the same while an incident goes on, and when a line is recorded.
func HistoryKey(e admin.HistoryEntry) string {
	switch {
	case e.Incident != nil:
		return "incident " + e.Incident.ID
	case e.Event != nil:
		return fmt.Sprintf("%d %s %s", e.At, e.Event.About, e.Event.Text)
	}
	return fmt.Sprintf("%d left out", e.At)
}
