// Package widget draws the pieces that pages are made of: text that fits, a
// table, a sparkline, a progress bar, an editable line, a dialog. Widgets know
// the theme and nothing of clusters; they draw strings and hold no time.
package widget
