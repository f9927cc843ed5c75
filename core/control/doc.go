// Package control is the service that users of the bus call: rooms, members, keys
// and, for user-admins, users. It holds the contract (contract.go), the rules, a
// typed client, which core/client uses, and the handlers that core/node serves in
// the account BUS while the node serves a store. core/request carries the requests.
// The server's allow-list ties a user to the connection; what changes something is
// signed besides, and let through once. Every answer rests on fresh proofs of the
// caller's status and role (DESIGN D4). Each change has one commit point (D3): a
// request that fails halfway has not happened, or what is derived from it is mended.
// Begin reading at Rules and Service.
package control
