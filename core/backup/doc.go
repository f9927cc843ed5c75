// Package backup brings a control plane into a file and back. A node's Server makes the
// file and hands it out in parts. Fetch writes the parts to a caller's disk. Check
// reads such a file and reports its contents and its signer. Restore makes a new
// database of one. core/node opens the Server, cmd/unibusd fetches, checks and
// restores. The package opens no connection: Source is implemented by core/admin. Begin
// reading at Server and Fetch.
package backup
