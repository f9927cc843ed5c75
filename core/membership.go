package core

import "bytes"

// NodeState says what a command decided about a node of the cluster.
type NodeState string

// The states.
const (
	NodeAdded   NodeState = "added"
	NodeRemoved NodeState = "removed" // for good: a later node needs another name
)

// NodeChange is a command's decision about one node. It counts beside what the
// nodes' configurations say.
type NodeChange struct {
	Name  string    `json:"name"`
	State NodeState `json:"state"`
	By    string    `json:"by"` // the name of the admin
	At    Millis    `json:"at"`
}

// Supersedes is true for a change that counts in place of another one of the same
// node. A removal is final, and of two equal decisions the earlier one stays.
func (c NodeChange) Supersedes(other NodeChange) bool {
	return c.State == NodeRemoved && other.State != NodeRemoved
}

// RecordKey returns the node's name.
func (c NodeChange) RecordKey() string { return c.Name }

// StatementsPrefix begins the Proof of a member that is a list of statements about the
// member, signed by members (core/seal). Rows with one have a version that releases
// which do not know it refuse: they would write over the statements.
const StatementsPrefix = "\xffunibus.members.v1"

// HasStatements is true for a Proof that is a list of signed statements.
func HasStatements(proof []byte) bool { return bytes.HasPrefix(proof, []byte(StatementsPrefix)) }
