//go:build !linux

package terminal

// discardOutput does nothing: the write after it is bounded.
func discardOutput(uintptr) {}
