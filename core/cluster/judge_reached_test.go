package cluster

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEverySentenceOfTheJudgeIsReached: each sentence in the files that make findings is
// part of a finding of a golden file, so that no finding escapes the tests of what it
// advises. A new finding needs a view in clusterViews or routeViews that has it.
func TestEverySentenceOfTheJudgeIsReached(t *testing.T) {
	t.Parallel()
	var golden []byte
	for _, name := range []string{"judge.txt", "judge_routes.txt"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		golden = append(golden, text...)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, sentence := range findingSentences(t, file) {
			found++
			if !sentence.MatchString(string(golden)) {
				t.Errorf("%s: no view of the tests has a finding with %s", file, sentence)
			}
		}
	}
	if found < 50 {
		t.Errorf("the judge has %d sentences: the search is wrong", found)
	}
}

// findingSentences are the texts of several words in a file that makes findings, as
// patterns. The texts of the diff of two views are events, which are no findings.
func findingSentences(t *testing.T, file string) []*regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "Finding{") {
		return nil
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []*regexp.Regexp
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && isOfDiff(fn) {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && lit.Value[0] == '"' {
				if text, err := strconv.Unquote(lit.Value); err == nil && len(strings.Fields(text)) > 2 {
					out = append(out, patternOf(text))
				}
			}
			return true
		})
	}
	return out
}

func isOfDiff(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return false
	}
	star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	id, ok := star.X.(*ast.Ident)
	return ok && id.Name == "diff"
}

// verb is what fmt replaces by a value.
var verb = regexp.MustCompile(`%%|%[-+0-9.]*[a-z]`)

// patternOf matches what a format makes. The first letter may have become a capital.
func patternOf(format string) *regexp.Regexp {
	pattern, at := "", 0
	for _, m := range verb.FindAllStringIndex(format, -1) {
		pattern += regexp.QuoteMeta(format[at:m[0]])
		if format[m[0]:m[1]] == "%%" {
			pattern += "%"
		} else {
			pattern += ".*"
		}
		at = m[1]
	}
	pattern += regexp.QuoteMeta(format[at:])
	return regexp.MustCompile("(?i)" + pattern)
}
