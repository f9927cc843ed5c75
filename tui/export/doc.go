// Package export writes a list of the console to a file, as CSV or JSON.
//
// A page says what a List has; the root model asks where to, and calls Write outside of
// Update. Begin reading with List.
package export
