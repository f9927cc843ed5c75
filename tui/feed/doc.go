// Package feed gathers what the console shows: one goroutine a topic asks the
// cluster, and the answers are published as immutable snapshots that every
// screen shares. A topic that gets no answer keeps its last good value, and how
// old it is; no topic waits for another. It knows no terminal.
package feed
