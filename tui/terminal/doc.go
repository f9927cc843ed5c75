// Package terminal is the operator's terminal: how it is opened and given back, and how
// Ctrl-Z stops the console.
//
// Bubble Tea gives the terminal back as long as it can write to it and is not stuck.
// This package sees the cases in which it cannot: the output has no reader, the terminal is gone,
// or no shell waits for a console that stops. cmd/unibus-tui opens a Terminal and tui.RunIn uses it.
//
// Begin reading with Terminal.
package terminal
