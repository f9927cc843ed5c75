package action

import (
	"strconv"
	"strings"

	"unibus/core"
)

func pluralize(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// NumberWord writes small numbers as words.
func NumberWord(n int) string {
	w := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	if n >= 0 && n < len(w) {
		return w[n]
	}
	return strconv.Itoa(n)
}

// ShellQuote returns a text as one word of a shell command.
func ShellQuote(s string) string {
	s = core.Redact(s) // a seed that was typed where a public key belongs is not offered to be copied
	isPlain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,+", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !isPlain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
