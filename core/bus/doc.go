// Package bus is the embedded nats-server of a node: its options and accounts,
// its TLS, the adapter that lets core/auth decide about every connection, and
// connections from inside the process. Apart from core/node it is the only
// package that imports nats-server, and none of that server's types leave it.
//
// Accounts are declared before the server is made: enabling JetStream for one
// afterwards loses a race on a restarted node.
package bus
