package widget

import (
	"strings"
	"unicode"
)

// Sanitize makes untrusted text safe to draw. Names are arbitrary UTF-8, and
// control or bidi characters in them could rewrite the screen.
func Sanitize(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, s)
}
