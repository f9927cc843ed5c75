// Package admin is the operators' protocol: subjects, verbs, rules and payloads
// (contract.go), a typed client, and the service that a node runs in the account
// CONTROL. cmd/unibusd, cmd/unibus-tui and tui use the client. core/node opens the
// service and implements the interfaces that ServiceConfig names. core/request carries
// the requests. Every request is signed; one that changes something is let through once
// and recorded in the audit before it is done. Begin reading at Rules, Service and
// Client.
package admin
