// Package request is the layer under the operators' protocol (core/admin) and the
// users' (core/control): one signed NATS request, one answer.
//
// A Server offers verbs as NATS micro services. It sends answers to the caller's
// inbox alone and bounds the requests under way. A Client sends a request once the
// cluster has proven its key, signs it, and drops an answer of another session.
// It also holds what both protocols share: strict decoding, pages, and the
// errors of requests without an answer. core/auth checks signatures, the time window
// and nonces. Verbs, rules and identities belong to the two protocols.
// Begin reading at Server and Client.
package request
