package feed

import "unibus/core/admin"

// Sample is one point of the sparklines.
type Sample struct {
	Conns  float64 // clients on all nodes
	Writes float64 // writes per second to the control plane
}

// maxSamples bounds the samples, one per second.
const maxSamples = 120

// sample computes the next point of the sparklines from two answers.
func sample(prev, next admin.Status) Sample {
	var s Sample
	for _, n := range next.Nodes {
		if n.Online {
			s.Conns += float64(n.Conns)
		}
	}
	ms := float64(next.At - prev.At)
	if ms <= 0 {
		return s
	}
	lastSeqs := map[string]uint64{}
	for _, b := range prev.Buckets {
		lastSeqs[b.Name] = b.LastSeq
	}
	for _, b := range next.Buckets {
		if before, ok := lastSeqs[b.Name]; ok && b.LastSeq > before {
			s.Writes += float64(b.LastSeq-before) * 1000 / ms
		}
	}
	return s
}
