package core

import "strings"

// OperatorRole is what an operator may do.
type OperatorRole string

// The roles of operators. The last two are for NATS' own tools and never use the admin protocol.
const (
	OperatorViewer  OperatorRole = "viewer"  // reads
	OperatorAdmin   OperatorRole = "admin"   // acts
	OperatorSystem  OperatorRole = "system"  // reads the servers' state, for `nats server …`
	OperatorAuditor OperatorRole = "auditor" // reads the buckets, for `nats --js-api-prefix CTL.API …`
)

// Operator is a person at the console or a tool: an nkey in the nodes'
// configuration, never in the store, so that operators work without a quorum.
type Operator struct {
	Key  string       `json:"key"` // public nkey, U…
	Role OperatorRole `json:"role"`
	Name string       `json:"name"`

	NotAfter Millis `json:"not_after,omitempty"` // the key is refused from then on; 0: it has no end
	SSHKey   string `json:"ssh_key,omitempty"`   // another key that the person may use for the console over SSH, as TYPE BASE64; "": none
}

// Ended is true for an operator whose key is refused because its time is over.
func (o Operator) Ended(now Millis) bool { return o.NotAfter != 0 && now >= o.NotAfter }

// RemovedOperator is an operator that an admin removed by command. Every node
// refuses the key from then on, whatever a configuration says.
type RemovedOperator struct {
	Operator
	By string `json:"by"` // the name of the admin
	At Millis `json:"at"`
}

// RecordKey returns the operator's key.
func (r RemovedOperator) RecordKey() string { return r.Key }

// Supersedes is false: a removal is final, and the earlier one stays.
func (r RemovedOperator) Supersedes(RemovedOperator) bool { return false }

// BusAuth is the mode of admission to the bus.
type BusAuth string

// The modes.
const (
	BusAuthOff     BusAuth = "off"
	BusAuthSoft    BusAuth = "soft"
	BusAuthEnforce BusAuth = "enforce"
)

// Problem is one thing that keeps a control plane from being migrated, or that a
// check found: a row that cannot be converted, and how to repair it.
type Problem struct {
	Table Table  `json:"table,omitempty"` // "" where it is not about a row
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
}

// TextWithRow is the problem after the row that it is about: users UABC…: it is there twice.
func (p Problem) TextWithRow() string {
	row := strings.TrimSpace(string(p.Table) + " " + p.Key)
	if row == "" {
		return p.Text
	}
	return row + ": " + p.Text
}
