package core

import (
	"fmt"
	"strings"
)

// maxSummaryWord bounds one value in a summary, in bytes.
const maxSummaryWord = 120

// SummaryWord is a value of a request as one word of the audit: in quotes if it would look
// like several words otherwise, without secrets, and short.
func SummaryWord(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r > '~' }) {
		text = fmt.Sprintf("%q", text)
	}
	text = Redact(text) // a seed in the place of a public key must not stay in the audit
	if len(text) > maxSummaryWord {
		text = strings.ToValidUTF8(text[:maxSummaryWord], "") + "…"
	}
	return text
}
