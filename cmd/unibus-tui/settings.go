package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/tui/action"
	"unibus/tui/keymap"
	"unibus/tui/settings"
	"unibus/tui/theme"
)

// setting is a value in force, and where it was given.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"` // flag, environment: NAME, FILE:LINE or default
}

// inForce are the values in force that decide the look of a console and its connection.
type inForce struct {
	file     settings.File
	settings []setting
	keys     keymap.Map
	skins    []theme.Skin
	badSkins []error // of files that nothing asks for

	skinFiles map[theme.Mode]string
}

// origin is the place in which a setting was given, by the name of its flag.
func (f inForce) origin(name string) string {
	for _, s := range f.settings {
		if s.Name == name {
			return s.From
		}
	}
	return fromDefault
}

const fromDefault = "default"

// settingNames are the flags that the environment and the settings file give, too.
func settingNames() []string {
	return []string{"context", "theme", "ascii", "bell", "mouse", "read-only"}
}

// envName is the environment's name of a setting.
func envName(name string) string {
	return "UNIBUS_TUI_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// loadSettings gives each flag its value: of the command line, else of the environment, else of the settings
// file. withContext is false where other flags name the cluster.
func loadSettings(fs *pflag.FlagSet, withContext bool) (inForce, error) {
	file, err := settings.Read()
	if err != nil {
		return inForce{}, err
	}
	f := inForce{file: file, skinFiles: map[theme.Mode]string{}}
	given := fileValues(file)
	for _, name := range settingNames() {
		flag := fs.Lookup(name)
		if flag == nil {
			continue
		}
		s := setting{Name: name, From: fromDefault}
		switch value, inFile := given[name]; {
		case flag.Changed:
			s.From = "flag"
		case name == "context" && !withContext:
		case os.Getenv(envName(name)) != "":
			s.From = "environment: " + envName(name)
			err = setFlag(flag, envName(name), os.Getenv(envName(name)))
		case inFile:
			s.From = file.Where(name)
			err = setFlag(flag, file.Where(name), value)
		}
		if err != nil {
			return inForce{}, err
		}
		s.Value = flag.Value.String()
		f.settings = append(f.settings, s)
	}
	for name, c := range file.Contexts {
		if c.Color != "" && !theme.IsColor(c.Color) {
			return inForce{}, core.Errorf(core.KindInvalid, "%s: %q is no color", file.Where("contexts."+name+".color"), c.Color).
				WithNext("write \"#rrggbb\", or the number of a color from \"0\" to \"255\"")
		}
	}
	if f.keys, err = keymap.New(action.Table(), file.Keys, func(name string) string { return file.Where("keys." + name) }); err != nil {
		return inForce{}, err
	}
	return f, nil
}

// applyContext gives a connection without flags the context of the environment or the settings file.
func applyContext(conn *cli.Connection) error {
	if conn.Given() {
		return nil
	}
	var asked cli.Connection
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	asked.Flags(fs)
	_, err := loadSettings(fs, true)
	conn.Context = asked.Context
	return err
}

// setFlag sets a flag to what was given elsewhere.
func setFlag(flag *pflag.Flag, where, value string) error {
	if err := flag.Value.Set(value); err != nil {
		return core.Errorf(core.KindInvalid, "%s: %q is not true or false", where, value).WithNext("write true or false")
	}
	flag.Changed = true
	return nil
}

func fileValues(f settings.File) map[string]string {
	out := map[string]string{}
	for name, v := range map[string]*string{"theme": f.Theme, "context": f.Context} {
		if v != nil {
			out[name] = *v
		}
	}
	for name, v := range map[string]*bool{"ascii": f.ASCII, "bell": f.Bell, "mouse": f.Mouse, "read-only": f.ReadOnly} {
		if v != nil {
			out[name] = map[bool]string{true: "true", false: "false"}[*v]
		}
	}
	return out
}

// loadSkins reads the operator's own skins, and returns the name of the theme that was asked for: the name of
// a skin, or a file. A file that cannot be used is refused where it was asked for; elsewhere badSkins has it.
func (f *inForce) loadSkins(asked string) (string, error) {
	files, _ := filepath.Glob(settings.SkinPath("*")) // fails for a bad pattern alone
	if strings.ContainsRune(asked, filepath.Separator) || strings.HasSuffix(asked, ".toml") {
		files = slices.DeleteFunc(files, func(p string) bool { return skinName(p) == skinName(asked) })
		files, asked = append(files, asked), skinName(asked)
	}
	for _, path := range files {
		skin, err := readSkin(path)
		switch {
		case err == nil:
			f.skins, f.skinFiles[skin.Name] = append(f.skins, skin), path
		case skinName(path) == asked:
			return "", err
		default:
			f.badSkins = append(f.badSkins, err)
		}
	}
	if known := f.themes(); !slices.Contains(known, theme.Mode(asked)) {
		return "", core.Errorf(core.KindInvalid, "%s: there is no theme %q", f.themeOrigin(), asked).
			WithNext("use one of %s, or write the skin %s", theme.NamesOf(known), settings.SkinPath(cmp.Or(asked, "NAME")))
	}
	return asked, nil
}

// themeOrigin is how an error names the place of the theme.
func (f *inForce) themeOrigin() string {
	if from := f.origin("theme"); from != "flag" {
		return from
	}
	return "--theme"
}

func (f *inForce) themes() []theme.Mode {
	out := theme.Modes()
	for _, s := range f.skins {
		if !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out
}

func skinName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".toml") }

func readSkin(path string) (theme.Skin, error) {
	data, err := settings.ReadSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return theme.Skin{}, core.Errorf(core.KindInvalid, "the skin %s does not exist", path).WithNext("use one of %s", theme.NamesOf(theme.Modes()))
	}
	if err != nil {
		return theme.Skin{}, err
	}
	return theme.ParseSkin(skinName(path), path, data)
}
