// Package bus is the embedded nats-server of a node: its options and accounts, its
// TLS, the adapter through which core/auth decides about every connection, and
// connections from inside the process. core/node opens it, and ends sessions through it.
// Apart from core/node it is the only package that imports nats-server, and no type of
// that server leaves it.
//
// Begin with Server in server.go, then authAdapter.Check, which nats-server calls for
// every client, and sessionTable, which tracks the owner of each connection.
package bus
