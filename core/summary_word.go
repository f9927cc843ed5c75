package core

import (
	"strconv"
	"strings"
)

// maxSummaryWord bounds one value in a summary, in bytes: a whole name fits, and three values fit into a record.
const maxSummaryWord = MaxName + 44

// SummaryWord is a value of a request as one word of the audit: in quotes if it would look
// like several words otherwise, without secrets, and short.
func SummaryWord(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r > '~' }) {
		text = QuoteText(text)
	}
	text = Redact(text) // a seed in the place of a public key must not stay in the audit
	if len(text) <= maxSummaryWord {
		return text
	}
	return cutWord(text)
}

// cutWord cuts what is too long, and says so by an ellipsis inside the quotes: without the closing one, the rest of the
// record would read as a part of the value.
func cutWord(text string) string {
	value, err := strconv.Unquote(text)
	if err != nil {
		return CutText(text, maxSummaryWord) + "…"
	}
	n := maxSummaryWord
	for ; len(text) > maxSummaryWord; n -= 4 { // codes are longer than what they stand for
		text = QuoteText(CutText(value, n) + "…")
	}
	return text
}
