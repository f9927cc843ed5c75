package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
)

// checkLimit refuses a --limit that lists nothing.
func checkLimit(c *cobra.Command, row string, limit int) error {
	if c.Flags().Changed("limit") && limit < 1 {
		return core.Errorf(core.KindInvalid, "--limit %d lists no %s", limit, row).WithNext("give 1 or more, or leave it out for all %ss", row)
	}
	return nil
}

// pageList is how a list is printed. The columns have fixed widths, because the rows of later pages are not known yet.
type pageList struct {
	widths []int
	head   []string
}

// printPages prints each page when it comes, the head with the first one: a failed command must not pass for a
// cluster without rows.
func printPages[P any](out io.Writer, l pageList, pages iter.Seq2[P, error], rows func(page P, print func(cells ...string))) error {
	w := bufio.NewWriter(out)
	print := func(cells ...string) { _, _ = fmt.Fprintln(w, cli.Row(out, l.widths, cells...)) } // Flush says what failed
	printed := false
	for page, err := range pages {
		if !printed && err == nil {
			print(l.head...)
			printed = true
		}
		rows(page, print)
		if err := cmp.Or(err, w.Flush()); err != nil {
			return err
		}
	}
	return nil
}

// printPagesJSON prints one document with a list of a name, a page at a time. After an error it is not
// closed: half a list must not pass for a whole one.
func printPagesJSON[P, T any](out io.Writer, name string, pages iter.Seq2[P, error], rows func(P) []T) error {
	return printPagesJSONAnd(out, name, pages, rows, func() any { return nil })
}

// printPagesJSONAnd adds what is known at the end, under the name "unknown"; nothing for nil.
func printPagesJSONAnd[P, T any](out io.Writer, name string, pages iter.Seq2[P, error], rows func(P) []T, unknown func() any) error {
	w := bufio.NewWriter(out)
	separator := "{\n  \"" + name + "\": ["
	for page, err := range pages {
		if err != nil && separator[0] == '{' {
			return err // nothing was printed
		}
		for _, row := range rows(page) {
			_, _ = fmt.Fprintf(w, "%s\n    %s", separator, indented(row))
			separator = ","
		}
		if err := cmp.Or(err, w.Flush()); err != nil {
			return err
		}
	}
	end := "\n  ]"
	if separator[0] == '{' {
		end = separator + "]"
	}
	if more := unknown(); more != nil {
		text, _ := json.Marshal(more) // names
		end += ",\n  \"unknown\": " + string(text)
	}
	_, _ = w.WriteString(end + "\n}\n")
	return w.Flush()
}

// indented is a row as cli.PrintJSON prints it inside of a list.
func indented(row any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("    ", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(row) // plain values
	return bytes.TrimSpace(b.Bytes())
}
