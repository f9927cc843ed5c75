// Package settings reads the settings file of a person: the look of the console, its keys, and
// the clusters that the person works on.
//
// The console calls it for all of them, and both programs call it for `--context NAME`. The file is
// unibus/console.toml in the directory of the user's configuration. Begin reading with File.
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"unibus/core"
)

// maxFile is how many bytes a file of a person may have: far more than any has.
const maxFile = 1 << 20

// File is a settings file. A setting that it lacks is nil or empty.
type File struct {
	Path string `toml:"-"` // where it is, or would be

	Theme    *string            `toml:"theme"`
	ASCII    *bool              `toml:"ascii"`
	Bell     *bool              `toml:"bell"`
	Mouse    *bool              `toml:"mouse"`
	ReadOnly *bool              `toml:"read-only"`
	Context  *string            `toml:"context"` // of a console that is started without a cluster
	Keys     map[string]string  `toml:"keys"`    // a key by what it does
	Contexts map[string]Context `toml:"contexts"`

	lines map[string]int // of each setting, by its whole name
}

// Context is a cluster as the file names it, in the words of the flags.
type Context struct {
	Servers    []string `toml:"server"`
	Identity   string   `toml:"identity"`
	CA         string   `toml:"tls-ca"`
	ClusterKey string   `toml:"cluster-key"`
	TLSFirst   bool     `toml:"tls-first"`
	Plaintext  bool     `toml:"insecure-plaintext"`
	Color      string   `toml:"color"` // of the cluster's name in the console; "" is chosen by the name
}

// Path is where the settings file of the present user is; "" where the system has no place for it.
func Path() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "unibus", "console.toml")
}

// SkinPath is where a person keeps a skin of their own.
func SkinPath(name string) string { return filepath.Join(filepath.Dir(Path()), "skins", name+".toml") }

// Read reads the file of the present user. One that does not exist says nothing. KindInvalid
// names the file and the line, KindFailed a file that cannot be read.
func Read() (File, error) {
	path := Path()
	if path == "" {
		return File{}, nil
	}
	data, err := ReadSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{Path: path}, nil
	}
	if err != nil {
		return File{}, err
	}
	return Parse(path, data)
}

// ReadSmall reads a file that a person wrote. Its error is fs.ErrNotExist where there is none.
func ReadSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err == nil && !info.Mode().IsRegular():
		return nil, core.Errorf(core.KindInvalid, "%s is not a file", path).WithNext("move it away, or name another one")
	case err == nil && info.Size() > maxFile:
		return nil, core.Errorf(core.KindInvalid, "%s is larger than 1 MiB", path).WithNext("move it away; it is no file of the console")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be read: %w", path, err).WithNext("see its mode: ls -l %s", core.ShellQuote(path))
	}
	return data, nil
}

// Parse reads the text of a settings file. path is for errors.
func Parse(path string, data []byte) (File, error) {
	f := File{Path: path}
	if err := Decode(path, data, &f); err != nil {
		return File{}, err
	}
	f.Path, f.lines = path, Lines(data)
	for name, c := range f.Contexts {
		if err := f.checkContext(name, c); err != nil {
			return File{}, err
		}
		c.Identity, c.CA = f.absolute(c.Identity), f.absolute(c.CA)
		f.Contexts[name] = c
	}
	return f, nil
}

// absolute is a file that the settings name: beside them, unless its path says otherwise.
func (f File) absolute(path string) string {
	switch rest, inHome := strings.CutPrefix(path, "~/"); {
	case inHome:
		home, _ := os.UserHomeDir() // without one the path is that of the root directory, which an error names
		return filepath.Join(home, rest)
	case path == "", strings.HasPrefix(path, "agent:"), filepath.IsAbs(path):
		return path
	}
	return filepath.Join(filepath.Dir(f.Path), path)
}

func (f File) checkContext(name string, c Context) error {
	at := f.Where("contexts." + name)
	switch {
	case !ValidName(name):
		return core.Errorf(core.KindInvalid, "%s: %q is no name of a context", at, name).WithNext("use letters, digits, dots, dashes and underscores")
	case len(c.Servers) == 0:
		return core.Errorf(core.KindInvalid, "%s: the context %s names no server", at, name).WithNext("add a line: server = [\"tls://HOST:4222\"]")
	}
	return nil
}

// ValidName is true for a name that a context may have: it is a word of a command and of a file.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
		return false
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return false
		}
	}
	return true
}

// Has is true if the file gives a setting.
func (f File) Has(name string) bool { return f.lines[name] > 0 }

// Where is the place of a setting: FILE:LINE, and the file alone where it is not in it.
func (f File) Where(name string) string {
	if line := f.lines[name]; line > 0 {
		return fmt.Sprintf("%s:%d", f.Path, line)
	}
	return f.Path
}
