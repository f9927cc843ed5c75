package clitest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Parse returns the reason why the program of root would refuse a command line: an
// unknown command or flag, a missing argument or required flag, an invalid value. The
// tree keeps what it parsed: give each call a new one.
func Parse(root *cobra.Command, line string) error {
	words := shellWords(line)
	if len(words) == 0 || strings.TrimPrefix(words[0], "bin/") != root.Name() {
		return fmt.Errorf("%q does not call %s", line, root.Name())
	}
	c, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	if c.InitDefaultHelpFlag(); strings.Contains(line, " --help") {
		return nil
	}
	if err := c.ParseFlags(rest); err != nil {
		return fmt.Errorf("%s: %w", c.CommandPath(), err)
	}
	return c.ValidateArgs(c.Flags().Args())
}

// shellWords splits a command line; quotes hold words together.
func shellWords(line string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`).FindAllString(line, -1) {
		if m = strings.Trim(m, `'"`); m != "…" {
			out = append(out, m)
		}
	}
	return out
}

// advisedCommand is a command of ours in a sentence: in backticks, or up to the end of the
// sentence or its part.
var advisedCommand = regexp.MustCompile("`((?:bin/)?(?:unibusd|unibus-tui)(?: [^`]*)?)`( [a-z]+)?|\\b(unibusd|unibus-tui) ([a-z][a-z-]*)((?: (?:--?[a-zA-Z]|[A-Z%$/.0-9]|[a-z][a-z0-9]*\\b)[^\\s;`]*)*)")

// AdviceFaults lists what is wrong with the commands of ours that a next step names. New
// makes the tree of each program, by its name. A command that is only mentioned, as one
// that printed something, needs its flags and not its arguments.
func AdviceFaults(text string, programs map[string]func() *cobra.Command) []string {
	var out []string
	for _, m := range advisedCommand.FindAllStringSubmatch(text, -1) {
		line, quoted := m[1], m[1] != ""
		if !quoted {
			root := programs[m[3]]()
			if c, _, err := root.Find([]string{m[4]}); err != nil || c == root {
				continue // "start unibusd on n1" names the program
			}
			line = strings.TrimRight(m[3]+" "+m[4]+m[5], ",.:")
			line, _, _ = strings.Cut(line, ", ")
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "bin/"), " ")
		root := programs[name]()
		if mentioned(m[2]) || line == name {
			out = append(out, Faults("`"+line+"`", root)...)
			continue
		}
		if err := Parse(root, line); err != nil {
			out = append(out, fmt.Sprintf("`%s`: %v", line, err))
		}
	}
	return out
}

// mentioned is true where the word behind a command tells of it, so the reader is not asked to run it.
func mentioned(word string) bool {
	switch strings.TrimSpace(word) {
	case "printed", "wrote", "writes", "has", "or", "of":
		return true
	}
	return false
}

// NextSteps are the texts that the program's code gives to WithNext and the Next of a
// finding, by their place. Every text with a command of ours of which a next step may
// be built is among them. Each verb of a format is replaced by a value.
func NextSteps(t *testing.T, top string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != top && skipped(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, text, 0)
		if err != nil {
			return err
		}
		inCommands := strings.HasPrefix(path, filepath.Join(top, "cmd")) // whose tables and examples have tests of their own
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok && !inCommands && isBuiltCommand(built(e)) {
				out[fset.Position(n.Pos()).String()] = fill(built(e))
				return false
			}
			if field, ok := n.(*ast.KeyValueExpr); ok {
				if id, ok := field.Key.(*ast.Ident); ok && id.Name == "Next" && constant(field.Value) != "" {
					out[fset.Position(n.Pos()).String()] = fill(constant(field.Value))
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "WithNext" {
				if text := constant(call.Args[0]); text != "" {
					out[fset.Position(n.Pos()).String()] = fill(text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d next steps: %v", len(out), err)
	}
	return out
}

// built is a text that the source makes of parts, with a value in the place of those
// that are not written there; "" where none is.
func built(e ast.Expr) string {
	sum, ok := e.(*ast.BinaryExpr)
	if !ok || sum.Op != token.ADD {
		return constant(e)
	}
	x, y := built(sum.X), built(sum.Y)
	if x == "" && y == "" {
		return ""
	}
	return cmp.Or(x, "VALUE") + cmp.Or(y, "VALUE")
}

// isBuiltCommand is true of a text with a command of ours and what it needs. The bare path
// of a command is a name, and one with an ellipsis is told in short.
func isBuiltCommand(text string) bool {
	return builtCommand.MatchString(text) && !strings.Contains(text, "…")
}

var builtCommand = regexp.MustCompile(`\bunibus(d|-tui) [a-z-]+[a-z -]* (--[a-z]|[A-UW-Z%]|VALUE --)`)

// constant is a text in the source, also in parts; "" for one that is made elsewhere.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		if a, b := constant(e.X), constant(e.Y); a != "" && b != "" {
			return a + b
		}
	}
	return ""
}

// fill puts values in the place of the verbs of a format.
func fill(format string) string {
	format = strings.NewReplacer("`%s --help`", "`unibusd serve --help`", "%%", "%").Replace(format)
	format = regexp.MustCompile(`%[.0-9]*d`).ReplaceAllString(format, "3")
	format = regexp.MustCompile(`--(replicas|rate) VALUE`).ReplaceAllString(format, "--$1 3")
	format = strings.ReplaceAll(format, "--for VALUE", "--for 3h")
	return regexp.MustCompile(`%[.0-9]*[svqw]`).ReplaceAllString(format, "VALUE")
}
