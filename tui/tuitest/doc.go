// Package tuitest drives the console in tests and screenshots.
//
// FakeClient answers from a ClusterState; cluster_states.go and migration_states.go
// hold the states. Harness runs the model synchronously for golden files. Terminal
// runs the real program in a terminal emulator and can export the cells as SVG.
//
// Begin reading with Harness in harness.go.
package tuitest
