package feed

import (
	"slices"

	"unibus/core"
	"unibus/core/admin"
)

const (
	// maxTerms bounds the terms of a group; the newest are kept.
	maxTerms = 32
	// maxGroups bounds the groups. A cluster has fewer than twenty.
	maxGroups = 64
	// MetaGroup is the name of JetStream's own group among those of the buckets.
	MetaGroup = "meta"
)

// GroupLeaders are the leaders of one raft group, oldest first.
type GroupLeaders struct {
	Group string // MetaGroup, or the name of a bucket
	Terms []Term
}

// Term is the time of one leader, until the next Term.
type Term struct {
	Leader string      // "": the group had none
	From   core.Millis // when this was first seen
}

// leadersOf is the known history of the leaders, with the leaders of a new status. It shares
// nothing that it changes, and returns known itself where no leader has changed.
func leadersOf(known []GroupLeaders, st admin.Status) []GroupLeaders {
	if !st.Clustered {
		return nil
	}
	out, isCopy := known, false
	note := func(group, leader string, since core.Millis) {
		i := slices.IndexFunc(out, func(g GroupLeaders) bool { return g.Group == group })
		if i >= 0 && out[i].Terms[len(out[i].Terms)-1].Leader == leader || i < 0 && len(out) >= maxGroups {
			return
		}
		if !isCopy {
			out, isCopy = slices.Clone(out), true
		}
		if since == 0 {
			since = st.At
		}
		if i < 0 {
			out = append(out, GroupLeaders{Group: group, Terms: []Term{{leader, since}}})
			return
		}
		terms := out[i].Terms
		next := Term{leader, max(since, terms[len(terms)-1].From+1)} // another node may have seen it a little earlier
		out[i].Terms = append(slices.Clone(terms[max(0, len(terms)-maxTerms+1):]), next)
	}
	note(MetaGroup, st.Meta.Leader, st.Meta.Since)
	for _, b := range st.AllBuckets() {
		note(b.Name, b.Leader, b.Since)
	}
	return out
}
