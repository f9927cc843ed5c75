// Package node is one unibusd: it builds the parts, opens them in order and
// closes them in reverse. Read node.go first, it is the boot script; plane.go
// decides which store this node serves, peers.go is what nodes tell each other.
package node
