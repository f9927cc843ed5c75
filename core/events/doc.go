// Package events keeps what happened in the cluster: incidents, and the lines that belong to
// none, in a replicated stream that has a bound by age and by bytes.
//
// Every node observes and follows the stream, so that each one has the whole in memory and shows it
// without a quorum. The node that leads the stream writes. Each record expects the sequence of the
// one before it. If two nodes both think that they lead, they cannot write the same event: the
// second one has to read the first one's record before it writes. Events that cannot be written
// wait in memory. The node that writes also tells of a changed verdict, for webhooks.
//
// core/node hands each observation to a Log, and core/admin shows its pages. Begin with log.go,
// then pending.go for what is written once, and memory.go for what is shown.
package events
