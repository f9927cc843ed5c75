package core

// OperatorRole is what an operator may do (DESIGN D12).
type OperatorRole string

// The roles of operators. The last two are for the ecosystem's own tools and never speak the admin protocol.
const (
	OperatorViewer  OperatorRole = "viewer"  // reads
	OperatorAdmin   OperatorRole = "admin"   // acts
	OperatorSystem  OperatorRole = "system"  // reads the servers' state, for `nats server …`
	OperatorAuditor OperatorRole = "auditor" // reads the buckets, for `nats --js-api-prefix CTL.API …`
)

// Operator is a person at the console or a tool: an nkey in the nodes'
// configuration, never in the store, so that it works without a quorum.
type Operator struct {
	Key  string       `json:"key"` // public nkey, U…
	Role OperatorRole `json:"role"`
	Name string       `json:"name"`

	NotAfter Millis `json:"not_after,omitempty"` // the key is refused from then on; 0: it has no end
}

// Ended is true for an operator whose key is refused because its time is over.
func (o Operator) Ended(now Millis) bool { return o.NotAfter != 0 && now >= o.NotAfter }

// RemovedOperator is an operator whom an admin removed by command. The key is
// refused on every node from then on, whatever a configuration says.
type RemovedOperator struct {
	Operator
	By string `json:"by"` // the name of the admin
	At Millis `json:"at"`
}

// BusAuth is the mode of admission to the bus (DESIGN D6).
type BusAuth string

// The modes.
const (
	BusAuthOff     BusAuth = "off"
	BusAuthSoft    BusAuth = "soft"
	BusAuthEnforce BusAuth = "enforce"
)

// Problem is one thing that keeps a control plane from being moved, or that a
// check found: a row that cannot be converted, with how to mend it.
type Problem struct {
	Table Table  `json:"table,omitempty"` // "" where it is not about a row
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
}
