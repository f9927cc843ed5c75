// Package statefile keeps what the console remembers from one session to the next: the columns
// that an operator has chosen, and the commands that were typed. None of it is needed: a file
// that is missing or cannot be read costs the defaults and a notice.
//
// cmd/unibus-tui opens a Store; the root model of package tui reads and changes it. Begin
// reading with Store.
package statefile
