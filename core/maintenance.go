package core

import "time"

// The bounds of a maintenance. It always has an end: a node that was forgotten would
// neither lead nor admit users for good.
const (
	DefaultMaintenance = 2 * time.Hour
	MinMaintenance     = time.Second
	MaxMaintenance     = 7 * 24 * time.Hour
)

// Maintenance is an admin's decision that a node leads nothing and serves no users for
// a while. Of two decisions about one node the later one counts.
type Maintenance struct {
	Node  string `json:"node"`
	By    string `json:"by"` // the name of the admin
	Since Millis `json:"since"`
	Until Millis `json:"until"`           // it ends by itself then
	At    Millis `json:"at"`              // when this was decided
	Ended bool   `json:"ended,omitempty"` // by a command, before Until
}

// IsActive is true while the maintenance lasts.
func (m Maintenance) IsActive(now Millis) bool { return !m.Ended && now < m.Until }

// RecordKey returns the node's name.
func (m Maintenance) RecordKey() string { return m.Node }

// Supersedes is true for a decision that counts in place of another one of the same
// node. Of two of the same moment the one that ends the maintenance counts.
func (m Maintenance) Supersedes(other Maintenance) bool {
	return m.At > other.At || m.At == other.At && m.Ended && !other.Ended
}

// CheckMaintenance refuses a duration that no maintenance may have. KindInvalid.
func CheckMaintenance(d time.Duration) error {
	if d < MinMaintenance || d > MaxMaintenance {
		return Errorf(KindInvalid, "a maintenance cannot last %s", d).WithNext("give --for from %s to %s", MinMaintenance, MaxMaintenance)
	}
	return nil
}
