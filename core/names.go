package core

import "unicode/utf8"

// MaxName bounds names that people give, in bytes; older files may hold longer ones.
const MaxName = 256

// CheckName says whether a name can be given to a user or a room: UTF-8 of at most MaxName bytes, without
// characters that hide or turn text. KindInvalid.
func CheckName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return Errorf(KindInvalid, "the name %q is not UTF-8", name).WithNext("give it in UTF-8")
	case len(name) > MaxName:
		return Errorf(KindInvalid, "the name has %d bytes", len(name)).WithNext("use at most %d", MaxName)
	}
	return checkVisible(name)
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
