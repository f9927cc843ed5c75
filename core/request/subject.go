package request

import "strings"

// callerOf takes the caller's nkey out of a request's subject, where it follows a
// prefix; "" where the subject has none.
func callerOf(prefix, subject string) string {
	rest, ok := strings.CutPrefix(subject, prefix)
	caller, _, dot := strings.Cut(rest, ".")
	if !ok || !dot {
		return ""
	}
	return caller
}
