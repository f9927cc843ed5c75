package audit

import (
	"strconv"
	"strings"
)

// Argument is a word name=value of Record.Args. Text is the word as it is there.
type Argument struct{ Name, Value, Text string }

// Arguments reads Record.Args: words that core.SummaryWord made. A text that is no such
// word ends the list, and is in it as the Text alone.
func Arguments(args string) (out []Argument) {
	for args != "" {
		name, rest, ok := strings.Cut(args, "=")
		if !ok {
			return append(out, Argument{Text: args})
		}
		shown, err := strconv.QuotedPrefix(rest)
		if err != nil {
			shown, _, _ = strings.Cut(rest, " ")
		}
		value, err := strconv.Unquote(shown)
		if err != nil { // it was not quoted
			value = shown
		}
		out = append(out, Argument{Name: name, Value: value, Text: name + "=" + shown})
		args = strings.TrimPrefix(rest[len(shown):], " ")
	}
	return out
}

// Argument is the value of the first word of a name, "" if there is none: a later one can
// be a part of a long value that was cut.
func (r Record) Argument(name string) string {
	for _, a := range Arguments(r.Args) {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}
