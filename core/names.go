package core

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName bounds names that people give, in bytes; older files may hold longer ones.
const MaxName = 256

// CheckName says whether a name can be given to a user, a room or an operator: UTF-8 of at most MaxName bytes that
// can be seen and that has no second spelling that looks the same: no characters that hide or turn text, and no blanks
// around it. Names that are stored already may be otherwise; ShownName shows those. KindInvalid.
func CheckName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return Errorf(KindInvalid, "the name %q is not UTF-8", name).WithNext("give it in UTF-8")
	case len(name) > MaxName:
		return Errorf(KindInvalid, "the name has %d bytes", len(name)).WithNext("use at most %d", MaxName)
	}
	if err := checkVisible(name); err != nil {
		return err
	}
	return checkEdges(name)
}

func checkVisible(name string) error {
	shown := []rune(VisibleText(name))
	for i, r := range []rune(name) {
		if r != shown[i] {
			return Errorf(KindInvalid, "the name holds the character %U, which cannot be shown at that place", r).
				WithNext("write the name without line breaks and invisible characters")
		}
	}
	return nil
}

// checkEdges refuses a name that looks empty, or like another one.
func checkEdges(name string) error {
	first, _ := utf8.DecodeRuneInString(name)
	switch {
	case name == "":
		return Errorf(KindInvalid, "the name is empty").WithNext("give a name, or leave it out")
	case strings.TrimFunc(name, isBlank) == "":
		return Errorf(KindInvalid, "the name %s has nothing that can be seen", QuoteText(name)).WithNext("give a name, or leave it out")
	case strings.TrimFunc(name, isBlank) != name:
		return Errorf(KindInvalid, "the name %s has blanks around it, which are not visible", QuoteText(name)).WithNext("give it without them")
	case unicode.Is(unicode.M, first):
		return Errorf(KindInvalid, "the name %s begins with %U, a mark that belongs to a letter before it", QuoteText(name), first).
			WithNext("begin the name with a letter")
	}
	return nil
}

// isBlank is true for what takes space and shows nothing. Some of it is no space to Unicode.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) || slices.Contains([]rune{
		0x2800,           // a braille pattern without dots
		0x16FE4,          // the filler of Khitan
		0x1D159,          // a note without a head
		0x13441, 0x13442, // blanks of hieroglyphs
	}, r)
}

// ShownName is a name as it is shown to people: in quotes, with codes, if it looks empty or like another one otherwise.
func ShownName(name string) string {
	if checkEdges(name) != nil {
		return QuoteText(name)
	}
	return VisibleText(name)
}
