package settings

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"unibus/core"
)

// Decode reads TOML into out, and refuses names that out lacks. An error is KindInvalid, and names the file and the line.
func Decode(path string, data []byte, out any) error {
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(out)
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		first := &missing.Errors[0]
		line, _ := first.Position()
		return core.Errorf(core.KindInvalid, "%s:%d: there is no setting %q", path, line, strings.Join(first.Key(), ".")).
			WithNext("`unibus-tui config` without this line lists the settings")
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		return decodeError(path, bad)
	}
	if err != nil {
		return core.Errorf(core.KindInvalid, "%s is not TOML: %w", path, err).WithNext("write one `name = value` a line, texts in quotes")
	}
	return nil
}

// decodeError words a wrong type or a mistake of syntax without naming Go types, and without the value.
func decodeError(path string, bad *toml.DecodeError) error {
	line, column := bad.Position()
	switch key := strings.Join(bad.Key(), "."); {
	case key != "" && strings.Contains(bad.Error(), "already"): // a key that is there twice has no type of its own
		return core.Errorf(core.KindInvalid, "%s:%d: %q is there twice", path, line, key).WithNext("keep one of the two")
	case key != "":
		return core.Errorf(core.KindInvalid, "%s:%d: the value of %q is of the wrong kind", path, line, key).
			WithNext("write texts in quotes, true or false without, and servers as [\"URL\", \"URL\"]")
	}
	return core.Errorf(core.KindInvalid, "%s:%d:%d: this is not TOML: %s", path, line, column, strings.TrimPrefix(bad.Error(), "toml: ")).
		WithNext("write one `name = value` a line, texts in quotes")
}

// Lines finds the line of every setting and table in TOML that was decoded before.
func Lines(data []byte) map[string]int {
	found := map[string]int{}
	p := unstable.Parser{}
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Comment {
			continue
		}
		name, line := wholeKey(&p, e)
		switch e.Kind {
		case unstable.Table:
			table = name + "."
		case unstable.KeyValue:
			name = table + name
		}
		for part := name; part != ""; { // a table that only longer names mention has the first one's line
			if found[part] == 0 {
				found[part] = line
			}
			dot := strings.LastIndex(part, ".")
			part = part[:max(dot, 0)]
		}
	}
	return found
}

func wholeKey(p *unstable.Parser, e *unstable.Node) (name string, line int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		if line == 0 {
			line = p.Shape(it.Node().Raw).Start.Line
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), line
}
