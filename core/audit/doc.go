// Package audit records what operators and user-admins do: an intent before every action and
// its outcome after it, in an append-only stream of the cluster, or in a file on a node
// alone. Without the intent there is no action, except for those that restore a quorum: they
// are added to the stream later. Each record holds the hash of the one before it,
// checkpoints are signed, and each node copies the stream to its file. core/node opens a Log
// and hands it to core/admin and core/control, which write it. cmd/unibusd verifies it, and
// reads the files of nodes that do not run. Begin with Log.Begin, follow.go for the copies,
// verify.go and read_file.go.
package audit
