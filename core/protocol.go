package core

import "fmt"

// The protocol is the number of what nodes say to each other and keep in the buckets. A
// release that changes either in a way that the one before does not understand raises it.
// It goes on speaking the one before, so that nodes of two releases that follow each other
// work together: docs/operations/upgrades.md.
const (
	// ProtocolVersion is the newest protocol that this release speaks. It reads rows of
	// versions up to the same number.
	ProtocolVersion = 3 // users with an end are rows of version 2, members with signed statements of version 3
	// OldestProtocol is the oldest that it speaks. Releases that do not say a protocol
	// speak 1 alone.
	OldestProtocol = 1
)

// Protocols is the range of protocols that a node speaks. The zero value stands for a
// release that does not say it.
type Protocols struct {
	Newest int `json:"newest"`
	Oldest int `json:"oldest"`
}

// OwnProtocols are those of this release.
func OwnProtocols() Protocols { return Protocols{Newest: ProtocolVersion, Oldest: OldestProtocol} }

// OrFirst returns the range that a release speaks which does not say one.
func (p Protocols) OrFirst() Protocols {
	if p.Newest == 0 {
		return Protocols{Newest: 1, Oldest: 1}
	}
	return p
}

// WorkWith is true if both speak one protocol.
func (p Protocols) WorkWith(other Protocols) bool {
	a, b := p.OrFirst(), other.OrFirst()
	return a.Newest >= b.Oldest && b.Newest >= a.Oldest
}

// String is "protocol 2", or "protocols 1 to 2".
func (p Protocols) String() string {
	if p = p.OrFirst(); p.Newest == p.Oldest {
		return fmt.Sprintf("protocol %d", p.Newest)
	}
	return fmt.Sprintf("protocols %d to %d", p.Oldest, p.Newest)
}
