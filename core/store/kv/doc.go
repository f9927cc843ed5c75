// Package kv is the Store on replicated JetStream: five KV buckets, one a table
// (DESIGN D2), and the bucket of control records beside them.
//
// The package speaks to JetStream by plain requests instead of through a KV
// client, because every exchange has to be judged on its own: what may be tried
// again (a read, a request that nobody received) and what must not be (a write
// that was sent and not answered: its outcome is unknown).
//
// Reads that decide come from memory (DESIGN D4). A follower keeps each bucket
// from a watch: users, rooms and members whole, of room_keys the keys alone. A
// leader that was deposed answers like any other, so what is in memory is proven
// by a barrier: a token that this node writes, that a quorum acknowledges and
// that comes back by the watch. Control reads take a fresh one, admission relies
// for 3 s on the one that it held before it decided. Without a proof the answer
// is KindUnavailable.
//
// Every write carries the guard (DESIGN section 6): it counts only where the
// bucket's `_authority` is the message that the writer saw. The server checks
// that of one message against one subject, so a record with a CAS of its own
// goes into an atomic batch with a second message, to a key of the node's own,
// that expects the guard. The server lets one such write of a bucket be under
// way at a time; others are told so and are tried again.
//
// Whole tables of one node's own replica, for a migration's parity, are read
// through a consumer that lives on that node. The server places consumers where
// it likes, so they are made until one lands there, and one that lands elsewhere
// goes to the scan that wants it there; a ReplicaReader is one that was placed ahead of time,
// for what came since. Messages come in the order of their writing
// and are sorted by key outside of memory, in a file without a name.
//
// ExportRows takes out what counts, each bucket at one revision, for a backup
// and for the way back to SQLite.
package kv
