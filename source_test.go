package unibus

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxLines is the most lines that a Go file may have.
const maxLines = 600

// TestSourceRules reads every Go file: one comment for each package, no init,
// no sleeping in tests, no testify, no file too long to read.
func TestSourceRules(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		comments := 0
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			f := parse(t, filepath.Join(p.Dir, name))
			f.check(t)
			if f.ast.Doc != nil && (!f.test() || len(p.GoFiles) == 0) {
				comments++
			}
		}
		if comments != 1 {
			t.Errorf("%s has %d package comments, it must have one", p.ImportPath, comments)
		}
	}
}

// source is one parsed file.
type source struct {
	path  string
	fset  *token.FileSet
	ast   *ast.File
	lines int
}

func parse(t *testing.T, path string) source {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseText(t, path, text)
}

func parseText(t *testing.T, path string, text []byte) source {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{path, fset, f, strings.Count(string(text), "\n")}
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) check(t *testing.T) {
	t.Helper()
	for _, fault := range s.faults() {
		t.Error(fault)
	}
}

// faults lists what is wrong with a file, each with its place.
func (s source) faults() []string {
	var out []string
	if s.lines > maxLines {
		out = append(out, s.path+" has more than 600 lines: split it by what is in it")
	}
	for _, imp := range s.ast.Imports {
		if strings.Contains(imp.Path.Value, "testify") {
			out = append(out, s.at(imp.Pos())+": tests use the standard library and go-cmp")
		}
	}
	for _, d := range s.ast.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			out = append(out, s.at(f.Pos())+": no init: New and Open say when things happen")
		}
	}
	if !s.test() {
		return out
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				out = append(out, s.at(sel.Pos())+": no sleeping in tests: wait for the condition")
			}
		}
		return true
	})
	return out
}

func (s source) at(p token.Pos) string { return s.fset.Position(p).String() }

func TestTheSourceRulesCanFail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"package a\nfunc init() {}\n":                                  "no init",
		"package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n":     "no sleeping",
		"package a\nimport _ \"github.com/stretchr/testify/assert\"\n": "standard library",
		"package a\n" + strings.Repeat("\n", maxLines+1):               "more than 600 lines",
	} {
		if got := strings.Join(parseText(t, "a_test.go", []byte(text)).faults(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
	good := "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"
	if got := parseText(t, "a.go", []byte(good)).faults(); len(got) != 0 {
		t.Errorf("a program may sleep: %v", got)
	}
}
