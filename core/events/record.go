package events

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"

	"unibus/core"
	"unibus/core/cluster"
)

// recordVersion is of the form of a record; one of a newer version is left out.
const recordVersion = 1

// A record has at most so many lines and incidents: it is then far below the payload limit.
const (
	recordLines     = 200
	recordIncidents = 10
)

// record is a message of the stream.
type record struct {
	V       int         `json:"v"`
	ID      string      `json:"id"`
	Node    string      `json:"node"`    // that wrote it
	Run     string      `json:"run"`     // of that node
	Since   core.Millis `json:"since"`   // from then on the run observes
	Through core.Millis `json:"through"` // all that it observed until then is written

	Events    []cluster.Event        `json:"events,omitempty"`
	Incidents []cluster.Incident     `json:"incidents,omitempty"`
	Dropped   *Dropped               `json:"dropped,omitempty"`
	Told      *cluster.VerdictChange `json:"told,omitempty"` // the verdict that webhooks are told by this node now

	// ToldBefore is what the node told them while it could record nothing.
	ToldBefore *cluster.VerdictChange `json:"told_before,omitempty"`
}

// Dropped is what could not be written for so long that there was no space for it any more.
type Dropped struct {
	Lines     int         `json:"lines"`
	Incidents int         `json:"incidents"`
	From      core.Millis `json:"from"` // when the first of them happened
	To        core.Millis `json:"to"`
}

func (d *Dropped) add(at core.Millis, lines, incidents int) {
	if d.From == 0 || at < d.From {
		d.From = at
	}
	d.Lines, d.Incidents, d.To = d.Lines+lines, d.Incidents+incidents, max(d.To, at)
}

func (r record) isEmpty() bool {
	return len(r.Events) == 0 && len(r.Incidents) == 0 && r.Dropped == nil && r.Told == nil && r.ToldBefore == nil
}

// decodeRecord is false for a record of another version, or one that cannot be read.
func decodeRecord(data []byte) (r record, ok bool) {
	err := json.Unmarshal(data, &r)
	return r, err == nil && r.V == recordVersion
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
