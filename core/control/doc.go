// Package control is the service that users of the bus call, rooms, members,
// keys and, for user-admins, users: the contract (subjects, methods, payloads,
// rules), a typed client and the handler that each node serves in the BUS
// account while its holder is filled.
//
// A request is one message to unibus.control.v1.<user>.<method>. The server's
// allow-list ties the user to the connection (DESIGN D7); what changes something
// is signed besides, and let through once. Every answer rests on fresh proofs of
// who the caller is and what they are in the room (D4). Each change has one
// commit point (D3): a request that fails halfway has either not happened, or
// has and what is derived from it is mended.
package control
