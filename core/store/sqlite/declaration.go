package sqlite

import (
	"slices"
	"strings"
)

// A file may hold more than unibus keeps: columns and tables that its owner added.
// They are left alone if nothing in their declaration runs: names, types and literals
// do not; expressions, constraints that refer to other tables, and collations do. So
// this file reads exactly the declarations that it can vouch for, and no other.

// column is one column of a declaration.
type column struct {
	name     string
	kind     string // its type in upper case, "" for none
	fallback string // the literal of its DEFAULT, as SQL; "" for none
	required bool   // NOT NULL
	primary  bool   // PRIMARY KEY
	unique   bool
}

// declaration is a CREATE TABLE in which nothing runs.
type declaration struct {
	name     string
	columns  []column
	primary  []string // the columns of the primary key
	counted  bool     // AUTOINCREMENT: SQLite keeps sqlite_sequence for it
	modified bool     // WITHOUT ROWID or STRICT
	unique   bool     // a constraint over several columns
}

// maxDeclaration is more than any table with 100 columns needs.
const maxDeclaration = 16 << 10

// column finds a column by its name, as SQLite compares names.
func (d declaration) column(name string) (column, bool) {
	i := slices.IndexFunc(d.columns, func(c column) bool { return sameName(c.name, name) })
	if i < 0 {
		return column{}, false
	}
	return d.columns[i], true
}

// foldName is a name in the form in which SQLite compares names: it folds ASCII alone.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

func sameName(a, b string) bool { return foldName(a) == foldName(b) }

// quoteName writes a name as SQL.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// parseTable reads a CREATE TABLE; false for one in which something may run.
func parseTable(sql string) (d declaration, ok bool) {
	tokens, ok := tokenize(sql)
	if !ok {
		return d, false
	}
	p := parser{tokens: tokens}
	if !p.words("CREATE", "TABLE") {
		return d, false
	}
	if d.name, ok = p.name(); !ok || !p.mark("(") {
		return d, false
	}
	for {
		if !p.item(&d) {
			return d, false
		}
		if !p.mark(",") {
			break
		}
	}
	return d, p.mark(")") && p.tail(&d) && len(d.columns) > 0 && d.namesDiffer()
}

// namesDiffer is true where no two columns have one name, which SQLite refuses, too.
func (d declaration) namesDiffer() bool {
	seen := map[string]bool{}
	for _, c := range d.columns {
		if seen[foldName(c.name)] {
			return false
		}
		seen[foldName(c.name)] = true
	}
	return true
}

// parseIndex reads a CREATE INDEX over plain columns; false for any other.
func parseIndex(sql string) (table string, ok bool) {
	tokens, ok := tokenize(sql)
	if !ok {
		return "", false
	}
	p := parser{tokens: tokens}
	if !p.words("CREATE") {
		return "", false
	}
	p.words("UNIQUE")
	if !p.words("INDEX") {
		return "", false
	}
	if _, ok = p.name(); !ok || !p.words("ON") {
		return "", false
	}
	if table, ok = p.name(); !ok {
		return "", false
	}
	_, ok = p.nameList()
	return table, ok && p.done()
}

// token is a name, a literal or a mark of a declaration.
type token struct {
	text string
	kind byte // 'w' a word, 'q' a quoted name, 's' a text, 'n' a number, else the mark itself
}

// tokenize splits a declaration. It is false where there is anything beyond words,
// names in quotes, literals, brackets, commas and signs: a comment is refused, too.
func tokenize(sql string) (all []token, ok bool) {
	if len(sql) > maxDeclaration {
		return nil, false
	}
	for i := 0; i < len(sql); {
		c := sql[i]
		switch {
		case strings.IndexByte(" \t\r\n\f", c) >= 0:
			i++
		case strings.IndexByte("(),+", c) >= 0 || c == '-' && !strings.HasPrefix(sql[i:], "--"):
			all = append(all, token{string(c), c})
			i++
		case c == '\'' || c == '"' || c == '`' || c == '[':
			text, n := quoted(sql[i:])
			if n == 0 {
				return nil, false
			}
			kind := byte('q')
			if c == '\'' {
				kind = 's'
			}
			all = append(all, token{text, kind})
			i += n
		case isWordByte(c):
			n := 1
			for i+n < len(sql) && (isWordByte(sql[i+n]) || sql[i+n] == '.' && c >= '0' && c <= '9') {
				n++
			}
			kind := byte('w')
			if c >= '0' && c <= '9' {
				kind = 'n'
			}
			all = append(all, token{sql[i : i+n], kind})
			i += n
		default:
			return nil, false
		}
	}
	return all, true
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// quoted reads a text or a name in quotes, and how many bytes it takes; 0 without an end.
func quoted(sql string) (text string, n int) {
	end := sql[0]
	if end == '[' {
		if at := strings.IndexByte(sql, ']'); at > 0 {
			return sql[1:at], at + 1
		}
		return "", 0
	}
	var b strings.Builder
	for i := 1; i < len(sql); i++ {
		if sql[i] != end {
			b.WriteByte(sql[i])
			continue
		}
		if i+1 == len(sql) || sql[i+1] != end {
			return b.String(), i + 1
		}
		b.WriteByte(end)
		i++
	}
	return "", 0
}

// parser reads tokens from the front. A method that returns false may have read some.
type parser struct{ tokens []token }

func (p *parser) done() bool { return len(p.tokens) == 0 }

func (p *parser) mark(m string) bool {
	if p.done() || p.tokens[0].kind != m[0] {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// words reads words, all of them or none.
func (p *parser) words(words ...string) bool {
	if len(p.tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if t := p.tokens[i]; t.kind != 'w' || !sameName(t.text, w) {
			return false
		}
	}
	p.tokens = p.tokens[len(words):]
	return true
}

func (p *parser) name() (string, bool) {
	if p.done() || strings.IndexByte("wqs", p.tokens[0].kind) < 0 {
		return "", false
	}
	name := p.tokens[0].text
	p.tokens = p.tokens[1:]
	return name, name != ""
}

// nameList reads names in brackets.
func (p *parser) nameList() (names []string, ok bool) {
	if !p.mark("(") {
		return nil, false
	}
	for {
		name, ok := p.name()
		if !ok {
			return nil, false
		}
		if names = append(names, name); !p.mark(",") {
			return names, p.mark(")")
		}
	}
}

// constraintWords begin what is no part of a column's type.
func constraintWords() []string {
	return words("constraint primary not null unique check default collate references generated as on foreign")
}

func (p *parser) atConstraint() bool {
	return !p.done() && p.tokens[0].kind == 'w' && slices.Contains(constraintWords(), foldName(p.tokens[0].text))
}

// item reads a column, or a constraint of the table.
func (p *parser) item(d *declaration) bool {
	switch {
	case p.words("PRIMARY", "KEY"):
		names, ok := p.nameList()
		if !ok || len(d.primary) > 0 {
			return false
		}
		d.primary = names
		return true
	case p.words("UNIQUE"):
		_, ok := p.nameList()
		d.unique = true
		return ok
	case p.atConstraint():
		return false
	}
	c, ok := column{}, false
	if c.name, ok = p.name(); !ok || !p.columnType(&c) {
		return false
	}
	for p.atConstraint() {
		if !p.constraint(d, &c) {
			return false
		}
	}
	d.columns = append(d.columns, c)
	return true
}

func (p *parser) columnType(c *column) bool {
	var kind []string
	for !p.done() && p.tokens[0].kind == 'w' && !p.atConstraint() {
		kind = append(kind, strings.ToUpper(p.tokens[0].text))
		p.tokens = p.tokens[1:]
	}
	c.kind = strings.Join(kind, " ")
	if len(kind) == 0 || !p.mark("(") {
		return true
	}
	for {
		if !p.mark("n") {
			return false
		}
		if !p.mark(",") {
			return p.mark(")")
		}
	}
}

func (p *parser) constraint(d *declaration, c *column) bool {
	switch {
	case p.words("PRIMARY", "KEY"):
		if len(d.primary) > 0 {
			return false
		}
		c.primary, d.primary = true, []string{c.name}
		d.counted = p.words("AUTOINCREMENT")
	case p.words("NOT", "NULL"):
		c.required = true
	case p.words("NULL"):
	case p.words("UNIQUE"):
		c.unique = true
	case p.words("DEFAULT"):
		return c.fallback == "" && p.literal(c)
	default:
		return false
	}
	return true
}

// literal reads the value of a DEFAULT. A word in quotes would be a name, and other
// words than these are, too.
func (p *parser) literal(c *column) bool {
	if p.mark("-") {
		c.fallback = "-"
	} else {
		p.mark("+")
	}
	if p.done() {
		return false
	}
	t := p.tokens[0]
	switch {
	case t.kind == 'n':
		c.fallback += t.text
	case t.kind == 's' && c.fallback == "":
		c.fallback = literal(t.text)
	case t.kind == 'w' && c.fallback == "" && slices.Contains(words("null true false current_time current_date current_timestamp"), foldName(t.text)):
		c.fallback = strings.ToUpper(t.text)
	default:
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// tail reads what follows the columns.
func (p *parser) tail(d *declaration) bool {
	for !p.done() {
		if !p.words("WITHOUT", "ROWID") && !p.words("STRICT") {
			return false
		}
		d.modified = true
		p.mark(",")
	}
	return true
}
