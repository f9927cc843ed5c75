package main

import (
	"regexp"
	"strings"
)

// formulaStart finds what a spreadsheet would run as a formula, also behind quotes that
// csvCell has put there.
var formulaStart = regexp.MustCompile(`^'*[=+\-@\t\r]`)

// csvCell puts a ' before a text that a spreadsheet would run. plainCell takes it away again.
func csvCell(text string) string {
	if formulaStart.MatchString(text) {
		return "'" + text
	}
	return text
}

// plainCell is the text of a cell that csvCell wrote. Other texts stay as they are, so
// that 'Neill keeps its apostrophe.
func plainCell(cell string) string {
	if rest, quoted := strings.CutPrefix(cell, "'"); quoted && formulaStart.MatchString(rest) {
		return rest
	}
	return cell
}
