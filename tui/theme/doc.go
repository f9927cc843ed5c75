// Package theme maps meanings to colors and glyphs.
//
// Pages and widgets name a Tone (good, dim, strong), never a color. So one choice
// switches between dark, light, sixteen colors and no color. The root model creates a
// Theme when the operator or the terminal changes the mode.
//
// Begin reading with Tone and Theme in theme.go.
package theme
