// Package feed polls the cluster for the console.
//
// One goroutine per topic (status, migration, events, users, rooms, …) requests its
// answer and publishes it in an immutable Snapshot. The root model reads the newest
// snapshot on every tick, and tells the feed which lists the current page shows.
//
// A topic without an answer keeps its last good value and knows how old that is. No
// topic waits for another, so that a stuck node cannot freeze the screen. The package
// knows no terminal.
//
// Begin reading with Feed in feed.go and the table of topics in poller.go;
// poll_topics.go has one function per topic.
package feed
