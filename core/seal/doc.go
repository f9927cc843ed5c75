// Package seal encrypts rooms end to end: the members of a room share a key that no
// server knows. It creates and verifies published KEM keys, boxes (a room's key
// sealed to one member), the chain of signed epoch records, and messages. It has no
// I/O and uses only the standard library's cryptography.
//
// core/client calls it. To rekey a room, MakeRecord takes the members' keys and
// returns what the store keeps. To read, a Chain follows the records, OpenBox opens
// the own box and returns the EpochKey; NewSender and Receiver.Advance take that.
//
// DESIGN.md is the protocol, byte by byte, with what it does not protect from.
// Begin reading with epoch_record.go and sealed_box.go.
package seal
