// Package keys makes and reads the keys that unibus identifies itself with. These are
// nkey seeds in files that only their owner may read, and the small private certificate
// authority that the nodes of a cluster trust each other by. Nothing in here ever
// overwrites a file: a key that was lost by mistake cannot be made again.
package keys
