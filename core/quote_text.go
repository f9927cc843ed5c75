package core

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// QuoteText quotes a text as %q does, and so that strconv.Unquote reads it. Other than there, joiners and
// selectors stay where they are a part of what is seen; everything that cannot be seen is written as a code.
func QuoteText(s string) string {
	if s != strings.ToValidUTF8(s, "") {
		return strconv.Quote(s)
	}
	text, shown := []rune(s), []rune(VisibleText(s))
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		switch {
		case r != shown[i], r > ' ' && isBlank(r), i == 0 && unicode.Is(unicode.M, r):
			b.WriteString(strings.Trim(strconv.QuoteToASCII(string(r)), `"`))
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case unicode.IsPrint(r), unicode.In(r, unicode.Cf, unicode.Variation_Selector):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.Quote(string(r)), `"`))
		}
	}
	b.WriteByte('"')
	return b.String()
}

// CutText keeps at most n bytes of a text. It does not cut between a letter and its marks, and not inside a joined
// emoji or a flag.
func CutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	text := []rune(s)
	whole := utf8.RuneCountInString(s[:n])
	for whole > 0 && continuesCharacter(text, whole) {
		whole--
	}
	if whole == 0 { // one character is longer
		return s[:n]
	}
	return string(text[:whole])
}

// continuesCharacter is true if the rune at i belongs to the character before it.
func continuesCharacter(text []rune, i int) bool {
	r := text[i]
	isRegional := func(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }
	if isRegional(r) { // two of them are a flag
		before := slices.Clone(text[:i])
		slices.Reverse(before)
		n := slices.IndexFunc(before, func(r rune) bool { return !isRegional(r) })
		if n < 0 {
			n = len(before)
		}
		return n%2 == 1
	}
	isJoiner := func(r rune) bool { return r == zeroWidthJoiner || r == zeroWidthNonJoiner }
	return isJoiner(r) || isJoiner(text[i-1]) || unicode.Is(unicode.M, r) || isSkinTone(r) || r > 0xE001F && r <= lastTag
}
