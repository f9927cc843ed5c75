package widget

import "unibus/core"

// Sanitize makes untrusted text safe to draw. Names are arbitrary UTF-8, and
// control or bidi characters in them could rewrite the screen.
func Sanitize(s string) string { return core.VisibleText(s) }
