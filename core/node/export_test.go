package node

import "unibus/core"

// Store is what this node's holder publishes, for tests that write past the services.
func (n *Node) Store() (core.Store, error) { return n.holder.Store() }
