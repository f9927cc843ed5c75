// Package migrate moves a control plane from a node's SQLite file into the
// replicated KV store, and back. A migration passes through the states preflight,
// backup, copy, verify, fence, cutover and soak; then it is finished or rolled back.
//
// A Job runs in the daemon (core/node creates it). The operators' service calls its
// methods. status.go, status_sentence.go and report.go show it to people, and
// actions.go has the actions that are possible at each moment. interfaces.go is
// everything that the Job needs of a node. Begin reading with state_machine.go: one
// method a state.
//
// Every step can be repeated. Copy and fence compare both sides in key order and
// write the difference. Memory grows with the changes since the backup, never with
// the tables. The journal records a step first if a crash could leave it in doubt.
// DESIGN.md says why it is built like this.
package migrate
