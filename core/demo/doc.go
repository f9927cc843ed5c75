// Package demo runs a local cluster of child processes to try unibus with. It
// creates certificates, identities, configuration files and, on the first node, a
// SQLite control plane of sample data. It can also play the story that shows what
// unibus does: migrate, stop a node, start it again.
//
// `unibusd demo` and the screenshots call it. A demo lives in one directory. Its
// processes end with it. Another process can stop and start nodes: it finds them
// by demo.json and by the lock that a running node holds on its data directory.
// Begin reading with demo.go (Open); story.go is the story.
package demo
