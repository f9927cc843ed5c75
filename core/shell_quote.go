package core

import "strings"

// ShellQuote returns a text as one word of a shell command that is shown to be copied. A word that looks like a
// secret is not in it: a seed may have been typed where a public key belongs.
func ShellQuote(text string) string {
	text = Redact(text)
	isPlain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,+", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !isPlain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
