// Package demo makes a local cluster of child processes to try unibus on: its
// authorities, identities and configuration files, a legacy SQLite control plane
// of sample data at the first node, and the story that shows what unibus is for.
//
// A demo lives in one directory. The processes that it started end with it;
// nodes can be stopped and started from another process, which finds them by
// demo.json and by the lock that a running node holds on its data directory.
package demo
