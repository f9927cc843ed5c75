// Package webhook tells receivers over HTTP of a changed verdict: signed, tried again with growing
// pauses, and bounded. No receiver can hold the caller or another receiver, and none can
// have a node connect to an address that only the node reaches.
//
// core/node opens a Sender where a webhook is configured, and core/events says when the verdict
// has changed. Begin with sender.go, then address.go for what may be dialed.
package webhook
