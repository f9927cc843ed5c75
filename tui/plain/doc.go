// Package plain prints the status of a cluster as text or as JSON.
//
// `unibus-tui status` calls it, and so does the console when its output is no terminal.
// It is for pipes, scripts and screen readers: no terminal, no escape sequences.
//
// The fields of the JSON document are public, and scripts rely on them; the text may
// change. Begin reading with Text in text.go and document in json.go.
package plain
