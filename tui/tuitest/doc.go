// Package tuitest drives the console in tests: a fake cluster with scripted
// states, the real program against a terminal emulator, still pictures for
// goldens, and the emulator's cells as SVG for screenshots.
package tuitest
