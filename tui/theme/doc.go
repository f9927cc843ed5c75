// Package theme gives colours and glyphs their meaning: what is healthy, what
// is worrying, what is secondary, what is selected. Nothing else in the console
// names a colour, so that dark, light, sixteen colours and none are one choice.
package theme
