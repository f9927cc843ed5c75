// Package node is one unibusd: it builds the parts of the daemon, opens them in
// order and closes them in reverse. cmd/unibusd and core/nodetest call New and Run.
//
// Begin with node.go: its list of parts is the boot. Then store_decision.go, the rule
// for which store a node serves, and store_selector.go, which applies it; control_plane.go
// connects both to the control record, the SQLite file and the KV buckets; migration.go
// plugs the node into core/migrate. peers.go is what nodes ask each other, node_info.go
// what each says of itself. The files with "service" in their name answer operators and users.
package node
