// Package tui is the operators' console, a Bubble Tea program.
//
// It shows the state of a cluster and runs operators' actions. cmd/unibus-tui calls
// RunIn; tests and screenshots drive the same model through tui/tuitest.
//
// This package holds the root model: routing of keys, focus, dialogs, the header and
// the footer. tui/feed polls the cluster, tui/action lists the operators' actions,
// and each package below tui/page draws one page. The console imports contracts of
// core packages only, never a server or a store.
//
// Begin reading with Model in model.go, then Update in update.go and View in view.go.
package tui
