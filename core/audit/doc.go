// Package audit records the actions of operators: an intent before every action
// and its outcome after it, in an append-only stream of the cluster, or in a file on
// a node that stands alone. Without the intent there is no action, apart from those
// that restore a quorum: they are written to the node's file, synced, and added to
// the stream once that can be written again. core/node opens a Log, core/admin
// writes and reads it. Begin with Log.Begin.
package audit
