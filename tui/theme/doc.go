// Package theme maps meanings to colors and glyphs.
//
// Pages and widgets name a Tone (healthy, dim, selected) and never a color, so that
// dark, light, sixteen colors and no color are one choice. The root model creates a
// Theme when the operator or the terminal changes the mode.
//
// Begin reading with Tone and Theme in theme.go.
package theme
