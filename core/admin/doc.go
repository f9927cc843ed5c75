// Package admin is the operators' protocol: the contract (subjects, verbs,
// payloads), a typed client and the handler that a node serves in the CONTROL
// account. What the handler needs of the node it declares as small interfaces.
package admin
