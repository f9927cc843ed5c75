// Package kv is the Store on replicated JetStream: five KV buckets, one a table
// (DESIGN D2), and the bucket of control records beside them.
//
// The package speaks to JetStream by plain requests instead of through a KV
// client, because every exchange has to be judged on its own: what may be tried
// again (a read, a request that nobody received) and what must not be (a write
// that was sent and not answered: its outcome is unknown). Single reads go to
// the stream's leader. Lists are read through a consumer from any replica that
// has everything the leader had when the list was asked for. A leader that has
// been deposed without knowing it may still answer: proving that it has not is
// the barrier's job (DESIGN D4), which is not here yet.
package kv
