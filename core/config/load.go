package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"unibus/core"
)

// maxFile is how many bytes a configuration file may have: far more than any has.
const maxFile = 1 << 20

// Load merges defaults, file, environment and flags, makes paths absolute and
// checks the whole (see Validate). An empty file means UNIBUS_CONFIG, else none.
// environ has the form of os.Environ; flags holds only the flags that were set,
// by name without dashes. Every error names the flag, variable, or file, line
// and key it is about, and is KindInvalid; a file that is not there is too. A file
// that others than root and this user can change is KindRefused.
func Load(file string, environ []string, flags map[string][]string) (Node, error) {
	n, _, err := load(file, environ, flags)
	return n, err
}

// load is Load, and says where each setting was given.
func load(file string, environ []string, flags map[string][]string) (Node, origins, error) {
	n, from := Default(), origins{file: file, env: map[string]bool{}, flags: map[string]bool{}}
	env := environment(environ)
	if from.file == "" {
		from.file = env[envConfig]
	}
	for _, s := range settings() {
		from.env[s.Name], from.flags[s.Name] = env[s.Env()] != "", len(flags[s.Name]) > 0
	}
	for _, step := range []func() error{
		func() error { return knownEnv(env) },
		func() error { return readFile(&from, &n) },
		func() error { return applyEnv(&n, env) },
		func() error { return applyFlags(&n, flags) },
	} {
		if err := step(); err != nil {
			return Node{}, from, err
		}
	}
	n.complete()
	if err := n.absolute(); err != nil {
		return Node{}, from, err
	}
	return n, from, from.explain(n.Validate())
}

// readFile reads the file, if there is one, and notes the line of each of its settings.
func readFile(from *origins, n *Node) error {
	file := from.file
	if file == "" {
		return nil
	}
	data, err := readOwned(file)
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		return core.Errorf(core.KindInvalid, "the configuration file %s is larger than 1 MiB", file).
			WithNext("give the TOML file of a node, as in `unibusd serve --config FILE`")
	}
	given := Node{} // separate, so that only the paths of the file are made relative to it
	if err := decode(file, data, &given); err != nil {
		return err
	}
	from.lines = placesIn(data)
	if err := from.refuseTwice(); err != nil {
		return err
	}
	if err := decode(file, data, n); err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return core.Errorf(core.KindInvalid, "the directory of %s cannot be found: %w", file, err)
	}
	for i, p := range given.paths() {
		if *p != "" && !filepath.IsAbs(*p) {
			*n.paths()[i] = filepath.Join(dir, *p)
		}
	}
	return nil
}

// refuseTwice refuses a setting that the file gives in two spellings: the decoder takes
// the last one, and sees no duplicate.
func (o origins) refuseTwice() error {
	for _, name := range slices.Sorted(maps.Keys(o.lines)) {
		if places := o.lines[name]; isSetting(name) && name != "operator" && len(places) > 1 {
			return errTwice(o.file, places[1].line, name)
		}
	}
	return nil
}

func errTwice(file string, line int, key string) error {
	return core.Errorf(core.KindInvalid, "%s, line %d: %q is there twice", file, line, key).WithNext("keep one of the two")
}

func fileError(file string, err error) error {
	why := "cannot be read"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "may not be read by this user"
	}
	e := core.Errorf(core.KindInvalid, "the configuration file %s %s", file, why)
	e.Err = err
	return e.WithNext("check the path given to --config or %s", envConfig)
}

// fileNode is a Node as the file has it.
type fileNode struct {
	*Node

	Operators []operatorTable `toml:"operator,omitempty"`
}

// takeOperators reads the operators' tables.
func (f fileNode) takeOperators(file string, data []byte) error {
	if f.Operators == nil {
		return nil
	}
	f.Node.Operators = nil
	for i, t := range f.Operators {
		op, err := t.operator()
		if err != nil {
			return about(lineOf(file, placesIn(data)["operator"], i)+"operator "+cmp.Or(t.Name, strconv.Itoa(i+1)), err)
		}
		f.Node.Operators = append(f.Node.Operators, op)
	}
	return nil
}

// decode reads TOML into n and leaves alone what the file does not mention.
func decode(file string, data []byte, n *Node) error {
	given := fileNode{Node: n}
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&given)
	if err == nil {
		return given.takeOperators(file, data)
	}
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		first := &missing.Errors[0]
		line, _ := first.Position()
		key := strings.Join(first.Key(), ".")
		return core.Errorf(core.KindInvalid, "%s, line %d: there is no setting %q", file, line, key).
			WithNext("the keys are the names of the flags of `unibusd serve`, operators are [[operator]] tables")
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		return decodeError(file, bad)
	}
	return core.Errorf(core.KindInvalid, "%s is not a configuration file: %w", file, err).
		WithNext("write it as TOML, one `name = value` a line")
}

// decodeError words a wrong type or a mistake of syntax without naming Go types.
func decodeError(file string, bad *toml.DecodeError) error {
	line, column := bad.Position()
	key := strings.ToLower(strings.Join(bad.Key(), "."))
	// The seen-tracker of go-toml has no type of its own for a key given twice, only this word.
	if key != "" && strings.Contains(bad.Error(), "already") {
		return errTwice(file, line, key)
	}
	if key != "" {
		return core.Errorf(core.KindInvalid, "%s, line %d: the value of %q is not %s", file, line, key, wantedFor(key)).
			WithNext("write %s", example(key))
	}
	return core.Errorf(core.KindInvalid, "%s, line %d, column %d: this is not TOML: %s",
		file, line, column, strings.TrimPrefix(bad.Error(), "toml: ")).
		WithNext("write one `name = value` a line, texts in quotes")
}

// wantedFor says what the value of a key of the file must be, by the type of the setting.
func wantedFor(key string) string {
	switch kindOf(key) {
	case reflect.Int:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		if key == "operator" {
			return "a table"
		}
		return "a list of texts"
	}
	return "a text"
}

func example(key string) string {
	switch {
	case key == "operator":
		return "[[operator]] on a line of its own, then key, role and name below it"
	case key == "nodes":
		return `nodes = ["n1", "n2"]`
	case key == "webhook":
		return `webhook = ["https://alerts.example/unibus"]`
	case kindOf(key) == reflect.Slice:
		return key + ` = ["10.0.0.1:6222", "10.0.0.2:6222"]`
	case kindOf(key) == reflect.Bool:
		return key + " = true"
	case kindOf(key) == reflect.Int:
		return key + " = 3"
	}
	return fmt.Sprintf(`%s = "…"`, strings.TrimPrefix(key, "operator."))
}

// kindOf is the type of a key of the file; a text for one that is none.
func kindOf(key string) reflect.Kind {
	node := reflect.TypeFor[Node]()
	for i := range node.NumField() {
		if name, _, _ := strings.Cut(node.Field(i).Tag.Get("toml"), ","); name == key {
			return node.Field(i).Type.Kind()
		}
	}
	return reflect.String
}

// environment keeps the variables that begin with UNIBUS_ and are not empty.
func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" {
			env[name] = value
		}
	}
	return env
}

// knownEnv refuses a variable that is no setting: a mistyped UNIBUS_BUS_AUTH
// would leave the bus open. It ignores the variables that a
// container platform sets for a service called unibus (UNIBUS_PORT…, UNIBUS_SERVICE_…).
func knownEnv(env map[string]string) error {
	known := map[string]bool{envDebug: true, envConfig: true, envKnown: true}
	for _, s := range settings() {
		known[s.Env()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !known[name] && !strings.HasPrefix(name, "UNIBUS_PORT") && !strings.HasPrefix(name, "UNIBUS_SERVICE_") {
			return core.Errorf(core.KindInvalid, "the environment sets %s, which is no setting", name).
				WithNext("unset it, or correct its name: `unibusd serve --help` lists the settings, --bus-auth is UNIBUS_BUS_AUTH")
		}
	}
	return nil
}

func applyEnv(n *Node, env map[string]string) error {
	for _, s := range settings() {
		value, ok := env[s.Env()]
		if !ok {
			continue
		}
		if err := s.set(n, []string{value}); err != nil {
			return about(s.Env(), err)
		}
	}
	switch v := env[envDebug]; v {
	case "", "0", "false":
	case "1", "true":
		n.NatsDebug = true
	default:
		return core.Errorf(core.KindInvalid, "%s is %q", envDebug, v).WithNext("set it to 1, or leave it unset")
	}
	return nil
}

func applyFlags(n *Node, flags map[string][]string) error {
	known := map[string]bool{}
	for _, s := range settings() {
		known[s.Name] = true
		values, ok := flags[s.Name]
		if !ok || len(values) == 0 {
			continue
		}
		if err := s.set(n, values); err != nil {
			return about("--"+s.Name, err)
		}
	}
	names := make([]string, 0, len(flags))
	for name := range flags {
		if !known[name] {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return core.Errorf(core.KindInvalid, "there is no flag --%s", names[0]).
			WithNext("`unibusd serve --help` lists the flags")
	}
	return nil
}

// about puts the name of a flag or variable before an error, which keeps its next step.
func about(name string, err error) error {
	e := core.AsError(err)
	return core.Errorf(e.Kind, "%s: %s", name, e.Text).WithNext("%s", e.Next)
}

func (n *Node) absolute() error {
	for _, p := range n.paths() {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return core.Errorf(core.KindInvalid, "the path %s cannot be made absolute: %w", *p, err).
				WithNext("give absolute paths")
		}
		*p = abs
	}
	return nil
}
