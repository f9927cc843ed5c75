//go:build !linux

package cli

// forbidDumps does nothing here: nodes run on Linux.
func forbidDumps() {}
