package core

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RowFilter selects rows of a list by what an operator typed. Terms are separated by blanks, and
// a row has to match each: a part of any value, in any case and with or without accents;
// ~letters that come in this order; r/ a regular expression, which takes the rest of the text;
// field:term looks at one value; ! before a term leaves out what matches it. It is for one goroutine.
type RowFilter struct {
	fields []string
	terms  []filterTerm
	bases  map[rune]rune // made when they are needed
}

type filterTerm struct {
	field   string // "" is any
	exclude bool
	fuzzy   bool
	text    string         // folded
	regex   *regexp.Regexp // nil: text
}

// ParseRowFilter reads a filter of rows with these fields; a field may be there twice. Of an
// unknown field the term is a text with a colon. KindInvalid for a regular expression that is none.
func ParseRowFilter(text string, fields ...string) (*RowFilter, error) {
	f := &RowFilter{fields: fields}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		t := filterTerm{}
		rest, t.exclude = strings.CutPrefix(rest, "!")
		if name, after, found := strings.Cut(rest, ":"); found && slices.Contains(fields, strings.ToLower(name)) {
			t.field, rest = strings.ToLower(name), after
		}
		if pattern, isRegex := strings.CutPrefix(rest, "r/"); isRegex {
			regex, err := regexp.Compile("(?i)" + pattern)
			if err != nil {
				return f, unreadablePattern(pattern, err)
			}
			t.regex, rest = regex, ""
		} else {
			rest, t.fuzzy = strings.CutPrefix(rest, "~")
			word := rest
			if end := strings.IndexFunc(rest, unicode.IsSpace); end >= 0 {
				word = rest[:end]
			}
			t.text, rest = f.fold(word), rest[len(word):]
		}
		if t.regex != nil || t.text != "" { // else it is not typed to its end
			f.terms = append(f.terms, t)
		}
	}
	return f, nil
}

func unreadablePattern(pattern string, err error) error {
	why := err.Error()
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		why = e.Code.String()
	}
	return Errorf(KindInvalid, "the regular expression %s cannot be read: %s", pattern, why).WithNext("write it as Go does (RE2), or leave r/ out to search for a text")
}

// CheckRowFilter refuses what no list takes, whichever fields it has. KindInvalid.
func CheckRowFilter(text string) error {
	var fields []string
	for _, word := range strings.Fields(text) {
		if name, _, found := strings.Cut(strings.TrimPrefix(word, "!"), ":"); found {
			fields = append(fields, strings.ToLower(name))
		}
	}
	_, err := ParseRowFilter(text, fields...)
	return err
}

// Selects is true for a row with these values, in the order of the fields.
func (f *RowFilter) Selects(values ...string) bool {
	for _, t := range f.terms {
		if f.matches(t, values) == t.exclude {
			return false
		}
	}
	return true
}

func (f *RowFilter) matches(t filterTerm, values []string) bool {
	for i, v := range values {
		if t.field != "" && (i >= len(f.fields) || f.fields[i] != t.field) {
			continue
		}
		switch {
		case t.regex != nil:
			if t.regex.MatchString(v) {
				return true
			}
		case t.fuzzy:
			if hasInOrder(f.fold(v), t.text) {
				return true
			}
		case strings.Contains(f.fold(v), t.text):
			return true
		}
	}
	return false
}

// hasInOrder is true if the letters are in the text, in their order.
func hasInOrder(text, letters string) bool {
	for _, r := range letters {
		at := strings.IndexRune(text, r)
		if at < 0 {
			return false
		}
		text = text[at+utf8.RuneLen(r):]
	}
	return true
}

// fold is a text in small letters and without accents.
func (f *RowFilter) fold(text string) string {
	text = strings.ToLower(text)
	if !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return text
	}
	if f.bases == nil {
		f.bases = letterBases()
	}
	return strings.Map(func(r rune) rune {
		if base, ok := f.bases[r]; ok {
			return base
		}
		if r >= firstMark && r <= lastMark {
			return -1
		}
		return r
	}, text)
}

// The block of combining diacritical marks: a letter and its accent may be two characters.
const firstMark, lastMark = '\u0300', '\u036f'

// letterBases are the letters without marks, by those with them.
func letterBases() map[rune]rune {
	out := map[rune]rune{}
	for _, letters := range lettersWithMarks() {
		base, size := utf8.DecodeRuneInString(letters)
		for _, r := range letters[size:] {
			out[r] = base
		}
	}
	return out
}
