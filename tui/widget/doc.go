// Package widget draws the parts that pages consist of.
//
// It has a table, a scrolled text, a dialog, a prompt, a sparkline and a progress bar.
// Functions sanitize, truncate, wrap and format text. The root model and the pages
// call it. Widgets know the theme but nothing about clusters; they return
// strings and read no clock.
//
// Begin reading with Table in table.go and Dialog in dialog.go.
package widget
