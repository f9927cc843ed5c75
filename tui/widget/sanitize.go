package widget

import (
	"strings"
	"unicode"
)

// Clean makes foreign text safe to draw: names are any UTF-8, and a control
// character or a change of direction in one could rewrite the screen around it.
func Clean(s string) string {
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
