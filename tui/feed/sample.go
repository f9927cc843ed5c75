package feed

import (
	"unibus/core"
	"unibus/core/admin"
)

// Sample is one point of the sparklines.
type Sample struct {
	At     core.Millis
	Conns  float64 // clients on all nodes
	Writes float64 // writes per second to the control plane
	Behind float64 // operations by which replicas are behind, all together
}

// maxSamples bounds the samples, one per second.
const maxSamples = 120

// sample computes the next point of the sparklines from two answers.
func sample(prev, next admin.Status) Sample {
	s := Sample{At: next.At}
	for _, n := range next.Nodes {
		if n.Online {
			s.Conns += float64(n.Conns)
		}
	}
	for _, b := range next.AllBuckets() {
		for _, r := range b.Replicas {
			s.Behind += float64(r.Lag)
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
