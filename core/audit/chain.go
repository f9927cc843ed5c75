package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// link is a record as part of a chain.
type link struct {
	Place
	hash   string
	prev   string // the hash of the record before it; "": an earlier version wrote it
	unread bool   // it is no record
	anchor bool   // it is no part of the chain, and the next one may follow it
}

// chain is records in the order in which they were read.
type chain struct {
	links     []link
	chained   bool // the last record has the hash of the one before it
	unchained int  // records of an earlier version
}

func (c *chain) add(l link) {
	c.links = append(c.links, l)
	if !l.anchor {
		c.chained = l.prev != ""
	}
}

// begin goes on after a record that was not read; hash "" is one that is not known.
func (c *chain) begin(seq uint64, hash string) {
	c.add(link{Place: Place{Seq: seq}, hash: hash, anchor: true})
}

// last is nil before the first record.
func (c *chain) last() *link {
	if len(c.links) == 0 {
		return nil
	}
	return &c.links[len(c.links)-1]
}

// faults compares each record with the one before it. numbered is true where the
// sequences have no gaps.
func (c *chain) faults(numbered bool) (out []Fault) {
	seen := map[string]uint64{} // hashes of the records so far
	follows := map[string]int{} // the last record that follows a hash
	for i, l := range c.links {
		follows[l.prev] = i
	}
	before := link{hash: noRecord, anchor: true}
	c.unchained = 0
	chained := false
	for i, l := range c.links {
		switch {
		case l.anchor:
			chained = chained && !numbered
		case l.unread:
			out = append(out, Fault{Place: l.Place, Reason: "cannot be read: it was changed, or another version wrote it"})
		case numbered && l.Seq == before.Seq && l.hash == before.hash && !before.anchor:
			continue // written twice, because the first write seemed to fail
		case numbered && l.Seq > before.Seq+1:
			out = append(out, Fault{Place: Place{Seq: before.Seq + 1}, Reason: missing(before, l)})
		case numbered && l.Seq <= before.Seq:
			out = append(out, Fault{Place: l.Place, Reason: fmt.Sprintf("lies after record %d: the chain forks, or it was moved", before.Seq)})
		case l.prev == "" && chained:
			out = append(out, Fault{Place: l.Place, Reason: "does not have the hash of the record before it: it was forged, or a node of an earlier version wrote it"})
		case l.prev == "":
			c.unchained++
		case before.hash != "" && l.prev != before.hash:
			out = append(out, c.broken(i, before, seen, follows))
		}
		if !l.anchor {
			chained = chained || l.prev != ""
			seen[l.hash] = l.Seq
		}
		before = l
	}
	return out
}

func missing(before, l link) string {
	text := "is missing"
	if l.Seq > before.Seq+2 {
		text = fmt.Sprintf("is missing, with all to %d", l.Seq-1)
	}
	if before.Seq == 0 {
		return text + "; the first one is " + l.Place.String()
	}
	return text + "; the last one before is " + before.Place.String()
}

// broken explains why the record i does not follow the one before it. Only one of the
// two is wrong where other records show which.
func (c *chain) broken(i int, before link, seen map[string]uint64, follows map[string]int) Fault {
	l := c.links[i]
	if at, ok := seen[l.prev]; ok {
		return Fault{Place: l.Place, Reason: fmt.Sprintf("forks the chain: it was appended after record %d, and not after record %d", at, before.Seq)}
	}
	if later, ok := follows[before.hash]; ok && later > i {
		return Fault{Place: l.Place, Reason: fmt.Sprintf("is not the one that was appended after record %d: it was moved, changed or forged", before.Seq)}
	}
	if before.anchor {
		return Fault{Place: l.Place, Reason: "does not follow what lies before it: records are missing, or it was changed or forged"}
	}
	if i+1 < len(c.links) && !c.links[i+1].anchor && c.links[i+1].prev != l.hash {
		return Fault{Place: l.Place, Or: &before.Place, Reason: "neither follows the record before it nor is followed by the one after it: it was moved, changed or forged"}
	}
	return Fault{Place: before.Place, Or: &l.Place, Reason: fmt.Sprintf("was changed after it was written, or the one after it was forged: %s", l.Place)}
}

// sortFaults puts the first one first.
func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Seq, b.Seq) })
}
