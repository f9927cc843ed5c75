package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"unibus/core"
)

// origins tells where each setting was given, so that an error about a value names the
// line of the file, the variable or the flag that has to be corrected.
type origins struct {
	file  string
	lines map[string][]place // by setting; an operator has one for each table
	env   map[string]bool    // by setting
	flags map[string]bool    // by setting
}

// place is where the file gives a setting.
type place struct {
	line  int
	texts []string // an operator's key and name, which an error about it repeats
}

// flagName is a setting as an error names it that does not know where the value came from.
var flagName = regexp.MustCompile(`--([a-z][a-z0-9-]*)`)

// explain words an error about settings for the place where they were given. The first
// setting of the text that was given at all is the one that the error is about.
func (o origins) explain(err error) error {
	e := core.AsError(err)
	if e == nil {
		return nil
	}
	about := ""
	for _, m := range flagName.FindAllStringSubmatch(e.Text, -1) {
		if o.given(m[1]) {
			about = m[1]
			break
		}
	}
	if about == "" || o.flags[about] {
		return err
	}
	out := core.Errorf(e.Kind, "%s%s", o.prefix(about, e.Text), o.rename(e.Text, about)).WithNext("%s", o.rename(e.Next, about))
	out.Err = err
	return out
}

func (o origins) given(name string) bool {
	return o.flags[name] || o.env[name] || len(o.lines[name]) > 0
}

// prefix is the file and the line of a setting that came from the file.
func (o origins) prefix(name, text string) string {
	if o.env[name] {
		return ""
	}
	line := o.lines[name][0].line
	for _, p := range o.lines[name] {
		if slices.ContainsFunc(p.texts, func(t string) bool { return t != "" && strings.Contains(text, t) }) {
			line = p.line
			break
		}
	}
	return fmt.Sprintf("%s, line %d: ", o.file, line)
}

// lineOf is the place of the table of a number, as the beginning of an error.
func lineOf(file string, tables []place, number int) string {
	if number >= len(tables) {
		return file + ": " // written in another form than as tables
	}
	return fmt.Sprintf("%s, line %d: ", file, tables[number].line)
}

// rename puts the name of the variable or of the file's key in the place of a flag's.
// A setting that was not given is named as the one is that the error is about.
func (o origins) rename(text, about string) string {
	return flagName.ReplaceAllStringFunc(text, func(flag string) string {
		name := strings.TrimPrefix(flag, "--")
		from := name
		if !o.given(name) {
			from = about
		}
		switch {
		case !isSetting(name), o.flags[from]:
			return flag
		case o.env[from]:
			return Setting{Name: name}.Env()
		}
		return name
	})
}

func isSetting(name string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.Name == name })
}

// placesIn finds the line of every setting in TOML that was decoded before.
func placesIn(data []byte) map[string][]place {
	found := map[string][]place{}
	p := unstable.Parser{}
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		key, line := firstKey(&p, e)
		key = strings.ToLower(key) // as the decoder compares names
		switch {
		case e.Kind == unstable.ArrayTable || e.Kind == unstable.Table:
			table = key
			found[key] = append(found[key], place{line: line})
		case e.Kind == unstable.KeyValue && table == "":
			found[key] = append(found[key], place{line: line})
		case e.Kind == unstable.KeyValue && (key == "key" || key == "name"):
			last := &found[table][len(found[table])-1]
			last.texts = append(last.texts, string(e.Value().Data))
		}
	}
	return found
}

func firstKey(p *unstable.Parser, e *unstable.Node) (key string, line int) {
	if e.Kind == unstable.Comment {
		return "", 0
	}
	it := e.Key()
	if !it.Next() {
		return "", 0
	}
	return string(it.Node().Data), p.Shape(it.Node().Raw).Start.Line
}

// Explain completes an error of a node that began with these settings. It names the
// line of the file, the variable or the flag that gave the setting, as the errors of
// Load do.
func (s *Source) Explain(err error) error {
	if from := s.from.Load(); from != nil {
		return from.explain(err)
	}
	return err
}
