package unibus

import (
	"go/ast"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"unibus/cmd/cli/clitest"
)

// TestSentencesNameTheirActor reads comments, texts in the code and documents: no sentence has a
// clause with what, who, whoever or whatever as its subject.
func TestSentencesNameTheirActor(t *testing.T) {
	t.Parallel()
	read := 0
	for _, p := range load(t) {
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			f := parse(t, filepath.Join(p.Dir, name))
			if isExempt(filepath.ToSlash(f.path)) {
				continue
			}
			texts := f.texts()
			for _, at := range slices.Sorted(maps.Keys(texts)) {
				read++
				for _, s := range clauseSubjects(texts[at]) {
					t.Errorf("%s: name the actor: %q", f.at(at), s)
				}
			}
		}
	}
	for _, file := range clitest.Documents(t, ".") {
		for _, paragraph := range paragraphs(heading.ReplaceAllString(clitest.Prose(readFile(t, file)), "")) {
			read++
			for _, s := range clauseSubjects(paragraph) {
				t.Errorf("%s: name the actor: %q", file, s)
			}
		}
	}
	if read < 10000 {
		t.Errorf("%d texts were read: the search is wrong", read)
	}
}

// isExempt is true of this file, which has the sentences that its own test needs.
func isExempt(path string) bool { return strings.HasSuffix(path, "/sentences_test.go") }

// texts returns the paragraphs of all comments and the sentences of all strings, by position.
func (s source) texts() map[token.Pos]string {
	out := map[token.Pos]string{}
	for _, group := range s.ast.Comments {
		for i, paragraph := range paragraphs(group.Text()) {
			out[group.Pos()+token.Pos(i)] = paragraph
		}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, ".") { // else a label
				out[lit.Pos()] = strings.ReplaceAll(text, "\n", " ")
			}
		}
		return true
	})
	return out
}

var (
	paragraphEnd  = regexp.MustCompile(`\n(?:\s*\n|\t| *(?:[-*]|\d+\.) )|\|`)
	sentenceEnd   = regexp.MustCompile(`([.!?](?:\)|\*\*)?)\s+`)
	label         = regexp.MustCompile(`^(?:\*\*[A-Z]\d+\*\* |[("])*`)
	clauseSubject = regexp.MustCompile(`^(?:What|Who|Whoever|Whatever) [a-z]|^(?:Test|Fuzz|Benchmark)\w*: (?:what|who|whoever) [a-z]`)
)

// paragraphs splits a text at blank lines, list items, headings and the cells of tables.
func paragraphs(text string) []string {
	var out []string
	for _, p := range paragraphEnd.Split("\n"+text, -1) {
		out = append(out, strings.ReplaceAll(strings.TrimSpace(p), "\n", " "))
	}
	return out
}

// clauseSubjects returns the sentences of a paragraph whose subject is a clause. A question is none,
// and neither is a label without a full stop.
func clauseSubjects(paragraph string) []string {
	var out []string
	for _, s := range strings.Split(sentenceEnd.ReplaceAllString(paragraph, "$1\n"), "\n") {
		s = label.ReplaceAllString(s, "")
		if clauseSubject.MatchString(s) && !strings.HasSuffix(s, "?") {
			out = append(out, s)
		}
	}
	return out
}

func TestSentencesCanHideTheirActor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"What the node lists is bounded.":                      "What the node lists is bounded.",
		"It is bounded. Whoever comes later\nwaits.":           "Whoever comes later waits.",
		"- One.\n- **A1** Who has the key reads it.\n":         "Who has the key reads it.",
		"| a | What a user does is recorded. |\n":              "What a user does is recorded.",
		"**Stale.** What a node hides is told.":                "What a node hides is told.",
		"- What does it cost\n  in the end?\n":                 "",
		"TestX: what was lost comes back. It waits.":           "TestX: what was lost comes back.",
		"A rule. (Whatever comes is read.) And so on.":         "Whatever comes is read.)",
		"What does it cost? Who pays?":                         "",
		"It shows what a user does. A user who waits is told.": "",
		"What, Who": "",
	} {
		var got []string
		for _, p := range paragraphs(text) {
			got = append(got, clauseSubjects(p)...)
		}
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("%q: got %q, want %q", text, g, want)
		}
	}
	f := parseText(t, "a.go", []byte("package a\n\n// f is a function.\n// What it returns is sent.\nfunc f() string { return \"It ended. What was left is gone.\" }\n"))
	found := 0
	for _, text := range f.texts() {
		found += len(clauseSubjects(text))
	}
	if found != 2 {
		t.Errorf("%d sentences were found in a comment and a string", found)
	}
}
