package audit

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

// VerifyConfig is what a Verifier compares with.
type VerifyConfig struct {
	Key    string                                        // the cluster's public key; "": the one that signed the first checkpoint
	Signed func(key string, data, signature []byte) bool // true where the key signed the data
}

// Verifier checks the chain of the records that it is given, oldest first.
type Verifier struct {
	cfg     VerifyConfig
	records chain            // of the stream
	lines   chain            // of the file, if one is checked
	intents map[string]Place // by id
	faults  []Fault          // that need no look at other records
	report  Report
}

// Report is the result.
type Report struct {
	Records     int         `json:"records"`
	From        core.Millis `json:"from,omitempty"` // the time of the first record
	To          core.Millis `json:"to,omitempty"`   // the time of the last record
	FirstSeq    uint64      `json:"first_seq,omitempty"`
	LastSeq     uint64      `json:"last_seq,omitempty"`
	Checkpoints int         `json:"checkpoints"`
	Key         string      `json:"cluster_key,omitempty"` // that signed the checkpoints
	Unsigned    int         `json:"unsigned"`              // records after the last checkpoint
	Unchained   int         `json:"unchained"`             // records of an earlier version at the beginning
	Pending     int         `json:"pending"`               // entries of the node alone, which are not part of a chain
	Damaged     int         `json:"damaged"`               // lines that cannot be read
	Faults      []Fault     `json:"faults"`                // the first one first
}

// Place names a record.
type Place struct {
	Seq  uint64      `json:"seq"` // in the stream, or the place in the file of a node alone
	At   core.Millis `json:"at,omitempty"`
	Node string      `json:"node,omitempty"`
	Key  string      `json:"key,omitempty"`
	Name string      `json:"name,omitempty"`
	Verb string      `json:"verb,omitempty"`

	Role core.OperatorRole `json:"role,omitempty"`
}

// String is for people.
func (p Place) String() string {
	text := fmt.Sprintf("record %d", p.Seq)
	if p.At == 0 {
		return text
	}
	by := "operator " + orDash(core.VisibleText(p.Name))
	if p.Role == RoleUserAdmin {
		by = actor(p.Role, p.Name, p.Key)
	}
	return fmt.Sprintf("%s (%s UTC, %s, verb %s, on %s)", text, p.At.Time().UTC().Format(time.DateTime), by, orDash(p.Verb), p.Node)
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// Fault is a gap, a change or a fork.
type Fault struct {
	Place
	Or     *Place `json:"or,omitempty"` // the other record that may be the wrong one
	Reason string `json:"reason"`
}

// String is for people.
func (f Fault) String() string { return f.Place.String() + " " + f.Reason }

// NewVerifier makes a Verifier.
func NewVerifier(cfg VerifyConfig) *Verifier {
	return &Verifier{cfg: cfg, intents: map[string]Place{}, report: Report{Key: cfg.Key}}
}

// Record takes the next record of the stream.
func (v *Verifier) Record(seq uint64, data []byte) {
	e, err := decodeEntry(data)
	at := v.place(seq, e)
	v.records.add(link{Place: at, hash: hashOf(data), prev: e.Prev, unread: err != nil})
	v.count(at)
	if err == nil && e.Phase == phaseCheckpoint {
		v.checkpoint(at, e, e.Upto == seq-1 && e.Hash == e.Prev)
	}
}

// Page takes the next page of an audit.
func (v *Verifier) Page(p RawPage) {
	for _, r := range p.Records {
		if p.File {
			v.Line(r.Seq, r.Data)
		} else {
			v.Record(r.Seq, r.Data)
		}
	}
}

// Line takes the next line of a node's file. at is where it begins, counted from 1.
func (v *Verifier) Line(at uint64, text []byte) {
	l := decodeLine(text)
	node := link{Place: Place{Seq: at}, hash: hashOf(text), anchor: true}
	switch {
	case l.Mark != "":
		v.mark(l.copied)
	case l.Seq > 0:
		v.Record(l.Seq, l.data())
	case l.bad:
		v.report.Damaged++
	case l.entry.Prev == "" && !v.lines.chained:
		v.report.Pending++
	default:
		node = link{Place: v.place(at, l.entry), hash: hashOf(text), prev: l.entry.Prev}
		v.count(node.Place)
		if l.entry.Phase == phaseCheckpoint {
			v.checkpoint(node.Place, l.entry, l.entry.Hash == l.entry.Prev)
		}
	}
	v.lines.add(node)
}

// mark takes a line about the stream.
func (v *Verifier) mark(c copied) {
	v.lines.chained = false // entries of a node in a cluster are not chained
	last := v.records.last()
	switch {
	case c.Mark == markStream && last != nil:
		v.faults = append(v.faults, Fault{Place: last.Place, Reason: fmt.Sprintf("is the last one before the stream was deleted and created anew, which was seen at %s UTC", c.At.Time().UTC().Format(time.DateTime))})
		v.records.begin(0, noRecord)
	case c.Mark == markRotated && (last == nil || last.Seq != c.Seq || last.hash != c.Hash):
		if last != nil {
			v.faults = append(v.faults, Fault{Place: last.Place, Reason: fmt.Sprintf("is not the one that the newer file begins after, which is record %d", c.Seq)})
		}
		v.records.begin(c.Seq, c.Hash)
	case c.Mark == markGap && last != nil && c.Seq < last.Seq:
		v.faults = append(v.faults, Fault{Place: last.Place, Reason: fmt.Sprintf("is in the copy, and the stream has lost it, with the others after record %d", c.Seq)})
		v.records.begin(c.Seq, "")
	}
}

// place names a record. An outcome is named by its intent.
func (v *Verifier) place(seq uint64, e entry) Place {
	p := Place{Seq: seq, At: e.At, Node: e.Node, Key: e.Key, Name: e.Name, Verb: e.Verb, Role: e.Role}
	switch e.Phase {
	case phaseIntent:
		v.intents[e.ID] = p
	case phaseOutcome:
		in := v.intents[e.ID]
		p.Key, p.Name, p.Verb, p.Role = in.Key, in.Name, in.Verb, in.Role
	case phaseCheckpoint:
		p.Verb = phaseCheckpoint
	}
	return p
}

func (v *Verifier) count(at Place) {
	r := &v.report
	r.Records++
	r.Unsigned++
	if r.FirstSeq == 0 {
		r.FirstSeq, r.From = at.Seq, at.At
	}
	r.LastSeq, r.To = at.Seq, at.At
}

// checkpoint checks a signature. inPlace is true where it signs the record before it.
func (v *Verifier) checkpoint(at Place, e entry, inPlace bool) {
	if v.report.Key == "" {
		v.report.Key = e.Key
	}
	reason := ""
	switch {
	case e.Key != v.report.Key:
		reason = fmt.Sprintf("is a checkpoint that another cluster's key signed: %.64q", e.Key)
	case !v.cfg.Signed(e.Key, e.signedBytes(), e.Signature):
		reason = "is a checkpoint with a signature that is not its own: it, or a record before it, was changed or forged"
	case !inPlace:
		reason = fmt.Sprintf("is a checkpoint that signs another record than the one before it: record %d", e.Upto)
	default:
		v.report.Checkpoints++
		v.report.Unsigned = 0
		return
	}
	v.faults = append(v.faults, Fault{Place: at, Reason: reason})
}

// maxFaults bounds a report.
const maxFaults = 100

// Report says what was found.
func (v *Verifier) Report() Report {
	r := v.report
	r.Faults = slices.Clone(v.faults)
	for _, c := range []*chain{&v.records, &v.lines} {
		r.Faults = append(r.Faults, c.faults(c == &v.records)...)
		r.Unchained += c.unchained
	}
	sortFaults(r.Faults)
	if len(r.Faults) > maxFaults {
		r.Faults = r.Faults[:maxFaults]
	}
	return r
}

// VerifyFile checks a copy of the audit, and the older file beside it.
func (v *Verifier) VerifyFile(path string) error {
	if err := eachLine(path, v.Line); err != nil {
		return err
	}
	if v.report.Records+v.report.Pending == 0 {
		return noRecords(path)
	}
	return nil
}
