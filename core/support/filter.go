package support

import (
	"bytes"
	_ "embed" // of the list
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"unibus/core"
)

// fieldsText is the whole list of what may be in a bundle: FILE, PATH and KIND in each line.
//
//go:embed fields.txt
var fieldsText string

// kind says what the value of a field may look like.
type kind string

const (
	kindNumber  kind = "number"  // a number, or true or false
	kindWord    kind = "word"    // a name, a state or a version: letters, digits and a few signs
	kindKey     kind = "key"     // a public nkey
	kindAddress kind = "address" // a host with a port, or without one
	kindPath    kind = "path"    // of a file
	kindProse   kind = "prose"   // a sentence: without secrets of a known shape, and without operators' names
	kindAbout   kind = "about"   // what an event or a finding is about: a node, a bucket or another part; never a person
	kindOwn     kind = "own"     // prose, unless the field "about" of the same object says users or rooms: such a sentence names some
)

// field is a node of the list: the names below a name in a document.
type field struct {
	kind  kind // "" where the list has only fields below
	below map[string]*field
}

// fields is the list by file.
func fields() map[string]*field {
	all := map[string]*field{}
	for line := range strings.Lines(fieldsText) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		at := childField(all, words[0])
		for name := range strings.SplitSeq(words[1], ".") {
			if at.below == nil {
				at.below = map[string]*field{}
			}
			at = childField(at.below, name)
		}
		at.kind = kind(words[2])
	}
	return all
}

func childField(of map[string]*field, name string) *field {
	if of[name] == nil {
		of[name] = &field{}
	}
	return of[name]
}

// omittedValue replaces the value of a listed field if its form is not that of the field.
const omittedValue = "[left out]"

// maxProse bounds one sentence, in bytes.
const maxProse = 2000

// Known are names that a Filter cannot tell from others.
type Known struct {
	Operators []string // replaced wherever they stand in a sentence
	Nodes     []string // nodes and servers, which events are about
}

// Filter returns the fields of a document that the list names for a file, as JSON, and how
// many fields and values it left out.
func Filter(file string, doc any, known Known) (json.RawMessage, int, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, 0, core.Errorf(core.KindFailed, "%s cannot be encoded: %w", file, err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, 0, core.Errorf(core.KindFailed, "%s cannot be decoded: %w", file, err)
	}
	f := filter{operators: namesPattern(known.Operators), nodes: known.Nodes}
	out, err := json.Marshal(f.value(fields()[file], v, ""))
	if err != nil {
		return nil, 0, core.Errorf(core.KindFailed, "%s cannot be encoded: %w", file, err)
	}
	return out, f.left, nil
}

// namesPattern matches any of some names as a word; nil for none.
func namesPattern(names []string) *regexp.Regexp {
	var quoted []string
	for _, name := range names {
		if name != "" {
			quoted = append(quoted, regexp.QuoteMeta(name))
		}
	}
	if len(quoted) == 0 {
		return nil
	}
	slices.SortFunc(quoted, func(a, b string) int { return len(b) - len(a) }) // the longest that matches counts
	return regexp.MustCompile(`(^|[^\pL\pN_-])(` + strings.Join(quoted, "|") + `)($|[^\pL\pN_-])`)
}

type filter struct {
	operators *regexp.Regexp // their names; nil: none
	nodes     []string
	left      int
}

// value returns v without what the list does not name. about is what the object around says
// that it is about.
func (f *filter) value(is *field, v any, about string) any {
	if is == nil {
		f.left++
		return nil
	}
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		return f.object(is, v)
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, f.value(is, e, about))
		}
		return out
	case string:
		return f.text(is.kind, v, about)
	}
	if is.kind == "" { // a number where the list has an object
		f.left++
		return nil
	}
	return v // a number or a boolean holds no secret
}

func (f *filter) object(is *field, v map[string]any) any {
	about, _ := v["about"].(string)
	out := map[string]any{}
	for key, e := range v {
		below := is.below[key]
		if below == nil && is.below["*"] != nil && isWord(key) {
			below = is.below["*"]
		}
		if below == nil {
			f.left++
			continue
		}
		out[key] = f.value(below, e, about)
	}
	return out
}

var (
	word    = regexp.MustCompile(`^[\pL\pN_][\pL\pN _.:/+@=()…-]{0,99}$`)
	address = regexp.MustCompile(`^[A-Za-z0-9._:%\[\]-]{0,253}$`)
	nkey    = regexp.MustCompile(`^[ACNOUX][A-Z2-7]{55}$`)
)

// isWord also keeps anything out that looks like a secret or like a URL.
func isWord(s string) bool {
	return word.MatchString(s) && core.RedactValue(s) == s && !strings.Contains(s, "://")
}

// text is a value of a kind, or leftOut.
func (f *filter) text(k kind, v, about string) string {
	ok := false
	switch k {
	case kindWord:
		ok = isWord(v)
	case kindAbout:
		ok = f.isSubject(v)
	case kindKey:
		ok = nkey.MatchString(v)
	case kindAddress:
		ok = address.MatchString(v) && core.RedactValue(v) == v
	case kindPath:
		ok = !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) && !strings.Contains(v, "://") && len(v) <= maxProse
		v = core.RedactValue(v)
	case kindOwn:
		ok = !slices.Contains([]string{"users", "rooms"}, about)
		v = f.prose(v)
	case kindProse:
		ok = true
		v = f.prose(v)
	}
	if !ok && v != "" {
		f.left++
		return omittedValue
	}
	return v
}

// isSubject is true of what an event or a finding may be about, people apart.
func (f *filter) isSubject(about string) bool {
	head, _, _ := strings.Cut(about, ".")
	parts := []string{"node", "bucket", "buckets", "stream", "meta", "authority", "config", "migration", "cluster", "users", "rooms"}
	return isWord(about) && (slices.Contains(parts, head) || strings.HasPrefix(about, "UNIBUS_") || slices.Contains(f.nodes, about))
}

// attribute finds the beginning of an attribute in a line of a log that a sentence quotes.
var attribute = regexp.MustCompile(`(?:^|\s)([A-Za-z][A-Za-z0-9_.-]*)=`)

// removeUnlistedAttributes removes the attributes that the list lacks from a quoted line of the log. A
// value ends where the next attribute begins, because nothing else marks its end.
func removeUnlistedAttributes(v string) string {
	found := attribute.FindAllStringSubmatchIndex(v, -1)
	if len(found) == 0 {
		return v
	}
	listed := fields()["node.json"].below["log"].below["lines"].below["attrs"].below
	var out strings.Builder
	at := 0
	for i, m := range found {
		end := len(v)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		if is := listed[v[m[2]:m[3]]]; is == nil || is.kind == kindAbout {
			out.WriteString(v[at:m[1]] + omittedValue)
			at = end
		}
	}
	out.WriteString(v[at:])
	return out.String()
}

// prose is a sentence that may be shown.
func (f *filter) prose(v string) string {
	v = removeUnlistedAttributes(core.RedactValue(v))
	for range 2 { // two names may share the blank between them
		if f.operators != nil {
			v = f.operators.ReplaceAllString(v, "${1}[operator]${3}")
		}
	}
	if len(v) > maxProse {
		v = core.CutText(v, maxProse) + "…"
	}
	return v
}
