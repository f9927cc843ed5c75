// Package migrate moves a control plane from a node's SQLite file into the
// replicated store, and back: preflight, backup, copy, verify on every node's
// own replica, fence, cutover, soak; from there finish or rollback. It knows its
// source, its target and its host only as small interfaces (parts.go).
//
// A Job works in the daemon, one step a state (machine.go); status.go is what
// everybody sees of it, choices.go what an operator can do to it now. Before
// anything is done that a crash could leave in doubt, it is in the journal.
//
// Nothing here is written twice: copy and fence merge two sides in key order and
// write the difference, so that every step may be repeated. Memory does not grow
// with the tables, but with what was changed since the backup.
package migrate
