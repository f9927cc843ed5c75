package feed

import (
	"unibus/core"
	"unibus/core/admin"
)

// Sample is one point of the sparklines.
type Sample struct {
	At     core.Millis
	Conns  float64            // clients on all nodes
	Writes float64            // writes per second to the control plane
	CPU    map[string]float64 // by node, percent
}

// MaxSamples bounds the samples, one per second.
const MaxSamples = 120

// sample computes the next point of the sparklines from two answers.
func sample(prev, next admin.Status) Sample {
	s := Sample{At: next.At, CPU: map[string]float64{}}
	for _, n := range next.Nodes {
		if !n.Online {
			continue
		}
		s.Conns += float64(n.Conns)
		s.CPU[n.Name] = n.CPU
	}
	ms := float64(next.At - prev.At)
	if ms <= 0 {
		return s
	}
	before := map[string]uint64{}
	for _, b := range prev.Buckets {
		before[b.Name] = b.LastSeq
	}
	for _, b := range next.Buckets {
		if was, ok := before[b.Name]; ok && b.LastSeq > was {
			s.Writes += float64(b.LastSeq-was) * 1000 / ms
		}
	}
	return s
}
