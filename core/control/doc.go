// Package control is the service that users of the bus call: rooms, members, keys and,
// for user-admins, users. It holds the contract (contract.go), the rules, a typed
// client, which core/client uses, and the handlers that core/node serves in the account
// BUS while the node serves a store. core/request carries the requests. The server's
// allow-list ties a user to the connection. A request that changes state is also
// signed, and let through once. Every answer rests on fresh proofs of the caller's
// status and role (docs/decisions/0004). Each change has one commit point (0003): a
// request that fails halfway has not happened, or its derived records are mended.
// core/audit records a user-admin's actions in that role. Begin reading at Rules and
// Service.
package control
