package request

import "strings"

// CallerOf takes the caller's nkey out of a request's subject, where it follows a
// prefix; "" where the subject has none.
func CallerOf(prefix, subject string) string {
	rest, ok := strings.CutPrefix(subject, prefix)
	caller, _, dot := strings.Cut(rest, ".")
	if !ok || !dot {
		return ""
	}
	return caller
}
