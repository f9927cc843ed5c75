package core

import "strings"

// IsUTF8Locale says whether programs may write UTF-8, by the first of LC_ALL, LC_CTYPE and LANG that is
// set. Without any, POSIX says that the locale is C, in which only ASCII is certain.
func IsUTF8Locale(environ []string) bool {
	locale := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		locale[name] = value
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(locale[name]); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// ASCIIRune is what stands for a character where only ASCII can be shown.
func ASCIIRune(r rune) rune {
	switch {
	case r < 0x80:
		return r
	case r == '–' || r == '—':
		return '-'
	case r == '…':
		return '~'
	}
	return '?'
}

// ASCIIText writes a text in ASCII. In another locale a byte of UTF-8 may be a control character.
func ASCIIText(s string) string { return strings.Map(ASCIIRune, s) }
