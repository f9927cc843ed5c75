// Package plain prints a status as text or as JSON, for pipes, scripts and
// screen readers. It needs no terminal and writes no escape sequences.
package plain
