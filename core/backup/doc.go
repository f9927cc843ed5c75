// Package backup brings a control plane into a file and back: the node's desk
// that makes the file and hands it out in parts, the fetching of it, the check
// of what such a file holds, and the restoring of one as a database. It opens no
// connection; who asks whom is the caller's.
package backup
