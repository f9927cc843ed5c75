// Package seal encrypts rooms end to end: members share a key that no server
// knows. It makes and checks published KEM keys, boxes (a room's key sealed to
// one member), the chain of signed epoch records, and the envelopes of messages.
// It is pure, and uses the standard library's cryptography alone.
//
// The protocol, byte by byte, and what it does not protect from, is in DESIGN.md.
//
// Whoever rekeys calls MakeRecord with the members' keys and stores what comes
// out. Whoever reads follows the records with a Chain, opens its box with
// OpenBox, and has an EpochKey: from it NewSender and Receiver.Advance.
package seal
