package core

import (
	"slices"
	"strings"
	"unicode"
)

const (
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
	emojiVariation     = '\uFE0F'
	blackFlag          = '\U0001F3F4' // the base of the flags that are spelled with tags
	lastTag            = '\U000E007F'
)

// VisibleText makes text from another source safe to show in a line. It replaces with U+FFFD
// what moves the cursor, turns the direction of the text around it, or cannot be seen, because two
// names must not differ in that alone. Joiners and variation selectors stay where a script or
// an emoji needs them: Persian, the scripts of India and families would be spoiled.
func VisibleText(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s
	}
	text := []rune(s)
	for replaceInvisible(text) { // what was replaced may have been all that a joiner beside it was there for
	}
	return string(text)
}

// replaceInvisible is true if it replaced a rune. It looks at all runes as they were before.
func replaceInvisible(text []rune) bool {
	before := slices.Clone(text)
	for i, r := range before {
		switch {
		case r == '\n' || r == '\t':
			text[i] = ' '
		case !isVisibleAt(before, i):
			text[i] = unicode.ReplacementChar
		}
	}
	return !slices.Equal(before, text)
}

// isVisibleAt is true if the rune can be seen, or changes how its neighbors look.
func isVisibleAt(text []rune, i int) bool {
	switch r := text[i]; {
	case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		return joinerIsNeeded(text, i)
	case unicode.Is(unicode.Variation_Selector, r):
		return i > 0 && selectsVariation(text, i)
	case r > 0xE001F && r <= lastTag:
		return isInFlag(text, i)
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // of the category Cf, but they have a shape
		return true
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
		return false
	}
	return true
}

// joinerIsNeeded follows RFC 5892, appendix A, and UTS 51: a joiner is valid at a virama, in a
// cursive script, and, if it joins, between two pictographs. After a letter that never joins, a
// digit or a Latin word it changes nothing, and the RFC does not have it, but Persian is written so.
func joinerIsNeeded(text []rune, i int) bool {
	if i == 0 {
		return false
	}
	next := rune(0)
	if i+1 < len(text) {
		next = text[i+1]
	}
	joins := text[i] == zeroWidthJoiner
	if joins && isJoinedPictograph(next) {
		return isJoinedPictograph(skipBack(text, i-1, func(r rune) bool { return r == emojiVariation || isSkinTone(r) }))
	}
	if isVirama(text[i-1]) || isVirama(next) && isIndic(text[i-1]) {
		return true
	}
	before := skipBack(text, i-1, func(r rune) bool { return unicode.Is(unicode.Mn, r) })
	script := cursiveScript(before)
	if script == nil {
		return !joins && cursiveScript(next) == unicode.Arabic && unicode.In(before, unicode.Latin, unicode.Nd, unicode.Pe, unicode.Pf)
	}
	return unicode.Is(script, next) || joins && !unicode.In(next, unicode.L, unicode.M, unicode.Cf)
}

// skipBack returns the last rune up to i that is not skipped, 0 if there is none.
func skipBack(text []rune, i int, skipped func(rune) bool) rune {
	for ; i >= 0; i-- {
		if !skipped(text[i]) {
			return text[i]
		}
	}
	return 0
}

// isJoinedPictograph is true for the emoji of joined sequences. Those below U+1F000 are listed in
// emoji-zwj-sequences.txt; other symbols would be joined invisibly.
func isJoinedPictograph(r rune) bool {
	switch r {
	case 0x2194, 0x2195, 0x2620, 0x2640, 0x2642, 0x2695, 0x2696, 0x26A7, 0x26D3, 0x26F9, 0x2708, 0x270A, 0x270B, 0x270C, 0x270D, 0x2764, 0x27A1, 0x2B1B:
		return true
	}
	return r >= 0x1F000 && r <= 0x1FAFF && !isSkinTone(r)
}

func isSkinTone(r rune) bool { return r >= 0x1F3FB && r <= 0x1F3FF }

func isVirama(r rune) bool {
	switch r {
	case 0x094D, 0x09CD, 0x0A4D, 0x0ACD, 0x0B4D, 0x0BCD, 0x0C4D, 0x0CCD, 0x0D3B, 0x0D3C, 0x0D4D, 0x0DCA, // Devanagari to Sinhala
		0x0F84, 0x1039, 0x103A, 0x1714, 0x1734, 0x17D2, 0x1A60, 0x1B44, 0x1BAA, 0x1BAB, 0x1BF2, 0x1BF3, // Tibetan to Batak
		0xA806, 0xA8C4, 0xA953, 0xA9C0, 0xAAF6, 0xABED, 0x11046, 0x110B9, 0x11133, 0x11134, 0x111C0, 0x1134D, 0x11442, 0x114C2:
		return true
	}
	return false
}

// isIndic is true for the letters and marks that come before a virama.
func isIndic(r rune) bool {
	return unicode.In(r, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
		unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Myanmar, unicode.Khmer, unicode.Balinese, unicode.Javanese)
}

// cursiveScript is the script of a letter that joins its neighbors, nil for any other rune.
func cursiveScript(r rune) *unicode.RangeTable {
	for _, script := range []*unicode.RangeTable{
		unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko, unicode.Mandaic, unicode.Phags_Pa, unicode.Adlam, unicode.Hanifi_Rohingya,
	} {
		if unicode.Is(script, r) && unicode.IsLetter(r) {
			return script
		}
	}
	return nil
}

// selectsVariation is true if the variation selector at i follows something that has variations.
func selectsVariation(text []rune, i int) bool {
	base, selector := text[i-1], text[i]
	switch {
	case selector >= 0x180B && selector <= 0x180F:
		return unicode.Is(unicode.Mongolian, base)
	case selector != '\uFE0E' && selector != emojiVariation:
		return unicode.In(base, unicode.Han, unicode.Sm, unicode.Myanmar, unicode.Phags_Pa)
	case base >= '0' && base <= '9' || base == '#' || base == '*':
		return i+1 < len(text) && text[i+1] == 0x20E3 // a keycap
	}
	return base == 'ℹ' || unicode.In(base, unicode.So, unicode.Sm, unicode.Sk) || base > '~' && unicode.In(base, unicode.Po, unicode.Pd)
}

// isInFlag is true for the tags after a black flag, up to the one that ends them.
func isInFlag(text []rune, i int) bool {
	isTag := func(r rune) bool { return r > 0xE001F && r <= lastTag }
	if skipBack(text, i, isTag) != blackFlag {
		return false
	}
	for i < len(text) && isTag(text[i]) && text[i] != lastTag {
		i++
	}
	return i < len(text) && text[i] == lastTag
}
