package tuitest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"unibus/tui/tuitest"
)

// sentenceSources are the packages whose sentences the states of a migration hold.
var sentenceSources = []string{"../../core", "../../core/migrate", "../../core/store/sqlite"}

// TestMigrationStatesHoldTheDaemonsSentences: the goldens show what an operator
// reads only if every sentence of the states is one that the daemon writes.
func TestMigrationStatesHoldTheDaemonsSentences(t *testing.T) {
	t.Parallel()
	patterns := sentencePatterns(t)
	for name, state := range map[string]tuitest.ClusterState{
		"copying": tuitest.Copying(), "paused": tuitest.CopyPaused(), "verified": tuitest.Verified(), "differs": tuitest.ReplicaDiffers(),
		"fencing": tuitest.Fencing(), "cutting over": tuitest.CuttingOver(), "after the cutover": tuitest.AfterCutover(),
		"rolling back": tuitest.RollingBack(), "rolled back": tuitest.RolledBack(), "aborted": tuitest.Aborted(),
		"interrupted": tuitest.Interrupted(), "preflight": tuitest.PreflightFailed(), "files": tuitest.FilesDiffer(), "dry run": tuitest.DryRun(),
	} {
		m := state.Migration
		texts := []string{m.Result}
		if m.Error != nil {
			texts = append(texts, m.Error.Text, m.Error.Next)
		}
		for _, p := range m.Problems {
			texts = append(texts, p.Text, p.Next)
		}
		for _, text := range texts {
			if !consistsOf(text, patterns) {
				t.Errorf("%s: the daemon does not write %q", name, text)
			}
		}
	}
}

// consistsOf is true if patterns cover a text from its beginning to its end.
func consistsOf(text string, patterns []*regexp.Regexp) bool {
	var found []string
	for _, p := range patterns {
		if p.MatchString(text) {
			found = append(found, p.String())
		}
	}
	return regexp.MustCompile(`^(?:` + strings.Join(append(found, " "), "|") + `)*$`).MatchString(text)
}

// leastLetters is the length of the constant part from which a text counts as a
// sentence.
const leastLetters = 12

// sentencePatterns returns a regular expression for every text that the sources
// build from constants.
func sentencePatterns(t *testing.T) []*regexp.Regexp {
	t.Helper()
	var out []*regexp.Regexp
	for _, dir := range sentenceSources {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok || !isText(e) {
					return true
				}
				if p, letters := pattern(e); letters >= leastLetters && utf8.ValidString(p) { // else it is no sentence
					out = append(out, regexp.MustCompile(p))
				}
				return false
			})
		}
	}
	return out
}

const anyWords = `.{0,70}?`

var verb = regexp.MustCompile(`%[a-zA-Z]`)

func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (isText(e.X) || isText(e.Y))
	}
	return false
}

// pattern returns the regular expression of a text and the length of its constant
// part.
func pattern(e ast.Expr) (re string, letters int) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			return anyWords, 0
		}
		parts := verb.Split(text, -1)
		for i := range parts {
			letters += len(parts[i])
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		return strings.Join(parts, anyWords), letters
	case *ast.BinaryExpr:
		left, n := pattern(e.X)
		right, m := pattern(e.Y)
		if n == 0 { // a text that has a pattern of its own
			left = ""
		}
		return left + right, n + m
	}
	return anyWords, 0
}
