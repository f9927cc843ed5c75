// Package unibus holds no code. Its tests keep the rules of ARCHITECTURE.md:
// which package may import which, and what every file must look like.
package unibus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pkg is what `go list -json` says about a package of this module.
type pkg struct {
	ImportPath     string
	Dir            string
	Standard       bool
	GoFiles        []string
	IgnoredGoFiles []string
	TestGoFiles    []string
	XTestGoFiles   []string
	Imports        []string
	TestImports    []string
	XTestImports   []string
	Deps           []string // transitive, without tests
}

// name is the path inside the module: "core/store/kv".
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, "unibus/") }

// Libraries that only some packages may see. A prefix stands for everything below it.
const (
	natsServer  = "github.com/nats-io/nats-server/"
	natsClient  = "github.com/nats-io/nats.go"
	nkeysModule = "github.com/nats-io/nkeys"
	sqliteLib   = "modernc.org/sqlite"
	databaseSQL = "database/sql"
	bubbleTea   = "charm.land/"
	ageLib      = "filippo.io/age"
	sshLib      = "golang.org/x/crypto/ssh"
	prometheus  = "github.com/prometheus/"
	minioLib    = "github.com/minio/minio-go/"
	highwayHash = "github.com/minio/highwayhash"
)

// narrow lists the packages that see core and at most the one library that they exist for.
func narrow() map[string][]string {
	example := []string{"unibus/core", "unibus/core/client", "unibus/examples/internal/clientflags"} // what a program of a user sees
	return map[string][]string{
		"examples/echo": example, "examples/sensor": example, "examples/encrypted-room": example,
		"core":                 {},
		"core/keys":            {"unibus/core", nkeysModule},
		"core/seal":            {"unibus/core"},
		"core/auth":            {"unibus/core", nkeysModule},
		"core/cluster":         {"unibus/core", natsClient},
		"core/migrate":         {"unibus/core"},
		"core/doctor":          {"unibus/core"},
		"core/blockfile":       {"unibus/core", highwayHash},
		"core/guide":           {"unibus/core", "unibus/core/cluster", "unibus/core/doctor"},
		"core/support":         {"unibus/core"},
		"core/metrics":         {"unibus/core", "unibus/core/cluster", prometheus},
		"core/jsapi":           {"unibus/core", natsClient},
		"core/events":          {"unibus/core", "unibus/core/cluster", "unibus/core/jsapi", natsClient},
		"core/webhook":         {"unibus/core"},
		"core/audit":           {"unibus/core", "unibus/core/jsapi", natsClient},
		"core/store/sqlite":    {"unibus/core", sqliteLib},
		"core/store/kv":        {"unibus/core", "unibus/core/jsapi", natsClient},
		"core/store/storetest": {"unibus/core", nkeysModule, "github.com/google/go-cmp"},
		"core/config":          {"unibus/core", "github.com/pelletier/go-toml"},
		"core/backup/s3":       {"unibus/core", "unibus/core/keys", minioLib},
		"core/keysource":       {"unibus/core", "unibus/core/keys", nkeysModule, ageLib, sshLib},
		"core/binding":         {"unibus/core", "unibus/core/auth", natsClient},
		"core/request":         {"unibus/core", "unibus/core/auth", "unibus/core/binding", natsClient},
		"core/client":          {"unibus/core", "unibus/core/auth", "unibus/core/binding", "unibus/core/control", "unibus/core/keys", "unibus/core/request", "unibus/core/seal", natsClient, "golang.org/x/text/unicode/norm"},
	}
}

// TestNarrowPackagesSeeOnlyTheirLibrary also keeps the backends from importing each other.
func TestNarrowPackagesSeeOnlyTheirLibrary(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		allowed, ok := narrow()[p.name()]
		if !ok {
			continue
		}
		for _, imp := range p.Imports {
			if !standard(imp) && !slices.ContainsFunc(allowed, func(a string) bool { return within(imp, a) }) {
				t.Errorf("%s imports %s; it may see the standard library and %v", p.name(), imp, allowed)
			}
		}
	}
}

// TestLibrariesHaveOneHome says who may import a library, tests included where that is said.
func TestLibrariesHaveOneHome(t *testing.T) {
	t.Parallel()
	for _, rule := range []struct {
		library string
		homes   []string
		tests   bool // tests elsewhere may import it too
		why     string
	}{
		{natsServer, []string{"core/bus", "core/node", "core/nodetest"}, true, "only the bus embeds a server"},
		{sqliteLib, []string{"core/store/sqlite"}, false, "there is one way to a database file"},
		{databaseSQL, []string{"core/store/sqlite"}, false, "no caller sees SQL"},
		{bubbleTea, []string{"tui", "cmd"}, false, "the daemon has no screen"},
		{prometheus, []string{"core/metrics"}, false, "there is one place that says what a metric is called"},
		{ageLib, []string{"core/keysource", "core/backup"}, false, "there is one way to a protected seed, and one to an encrypted backup"},
		{minioLib, []string{"core/backup/s3"}, false, "there is one way to an object store"},
		{highwayHash, []string{"core/blockfile"}, false, "there is one way to the server's blocks"},
		{sshLib, []string{"core/keysource", "tui/sshd"}, false, "there is one way to an SSH agent, and one SSH server"},
	} {
		for _, p := range load(t) {
			if slices.ContainsFunc(rule.homes, func(h string) bool { return under(p.name(), h) }) {
				continue
			}
			imports := p.Imports
			if !rule.tests {
				imports = slices.Concat(imports, p.TestImports, p.XTestImports)
			}
			for _, imp := range imports {
				if within(imp, rule.library) {
					t.Errorf("%s imports %s, which belongs to %v: %s", p.name(), imp, rule.homes, rule.why)
				}
			}
		}
	}
}

// TestNoncesAreSignedAsNonces: a server chooses the nonce, so that no connection
// of ours may sign it without a look at what it is.
func TestNoncesAreSignedAsNonces(t *testing.T) {
	t.Parallel()
	found := 0
	for _, p := range load(t) {
		for _, file := range p.GoFiles {
			data, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(data)) {
				if _, call, ok := strings.Cut(line, "nats.Nkey("); ok {
					found++
					if !strings.Contains(call, ".SignNonce)") {
						t.Errorf("%s/%s signs whatever a server sends: %s", p.name(), file, strings.TrimSpace(line))
					}
				}
			}
		}
	}
	if found < 3 {
		t.Errorf("%d connections were found, want the operators', the users' and the nodes'", found)
	}
}

// TestImportsRunOneWay forbids single arrows.
func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, rule := range []struct{ from, to, why string }{
		{"core", "tui", "the daemon does not know the console"},
		{"core", "cmd", "commands are the top"},
		{"tui", "cmd", "commands are the top"},
		{"core/control", "core/node", "a service declares what it needs, node plugs it in"},
		{"core/admin", "core/node", "a service declares what it needs, node plugs it in"},
		{"core/control", "core/store", "a service knows the store as an interface"},
		{"core/admin", "core/store", "a service knows the store as an interface"},
		{"core/backup", "core/admin", "the operators' protocol carries backups, and a backup does not know how"},
		{"core/request", "core/admin", "the layer does not know its protocols"},
		{"core/request", "core/control", "the layer does not know its protocols"},
		{"core/migrate", "core/store", "a move knows its source and target as interfaces"},
		{"core/bus", "core/store", "the bus asks the holder"},
		{"core/demo", "core/node", "the demo's nodes are processes of their own"},
		{"cmd/unibusd", "tui", "the demo opens the console as a process of its own"},
	} {
		for _, p := range load(t) {
			if !under(p.name(), rule.from) {
				continue
			}
			for _, imp := range p.Imports {
				if under(strings.TrimPrefix(imp, "unibus/"), rule.to) && strings.HasPrefix(imp, "unibus/") {
					t.Errorf("%s imports %s: %s", p.name(), imp, rule.why)
				}
			}
		}
	}
}

// TestTheConsoleSeesOnlyContracts keeps servers and databases out of the console, however far down.
func TestTheConsoleSeesOnlyContracts(t *testing.T) {
	t.Parallel()
	contracts := []string{"unibus/core", "unibus/core/admin", "unibus/core/cluster", "unibus/core/migrate"}
	contracts = append(contracts, "unibus/core/doctor", "unibus/core/guide") // pure: the types of a check, and checklists
	for _, p := range load(t) {
		console := under(p.name(), "tui") && p.name() != "tui/tuitest"
		if console {
			for _, imp := range p.Imports {
				if strings.HasPrefix(imp, "unibus/") && !strings.HasPrefix(imp, "unibus/tui") && !slices.Contains(contracts, imp) {
					t.Errorf("%s imports %s; the console may see %v", p.name(), imp, contracts)
				}
			}
		}
		if !console && p.name() != "cmd/unibus-tui" {
			continue
		}
		for _, dep := range p.Deps {
			for _, heavy := range []string{natsServer, sqliteLib, "unibus/core/node", "unibus/core/bus", "unibus/core/store"} {
				if within(dep, heavy) || dep == databaseSQL { // its driver package is only an interface, and the colors use it
					t.Errorf("%s depends on %s, if not directly; the console holds neither a server nor a database", p.name(), dep)
				}
			}
		}
	}
}

// TestPagesStandAlone also keeps the feed free of the screen.
func TestPagesStandAlone(t *testing.T) {
	t.Parallel()
	for _, p := range load(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(p.name(), "tui/page/") && strings.HasPrefix(imp, "unibus/tui/page/") {
				t.Errorf("%s imports %s: pages never import pages", p.name(), imp)
			}
			if p.name() == "tui/feed" && within(imp, bubbleTea) {
				t.Errorf("tui/feed imports %s: the feed knows no screen", imp)
			}
		}
	}
}

// TestTheRulesCanFail shows that the helpers of this file see what they are for.
func TestTheRulesCanFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		got, want bool
		what      string
	}{
		{within("github.com/nats-io/nats-server/v2/server", natsServer), true, "a package of a module"},
		{within("unibus/core/store/kv", "unibus/core"), false, "a package below core is not core"},
		{within("unibus/core/store/kv", "unibus/core/store"), true, "a backend is a store"},
		{within("modernc.org/sqlite/lib", sqliteLib), true, "SQLite's own packages"},
		{within("modernc.org/sqlite3x", sqliteLib), false, "another library"},
		{under("tui/page/users", "tui"), true, "a page is part of the console"},
		{under("tuition", "tui"), false, "another package"},
		{standard("crypto/hpke"), true, "the standard library"},
		{standard("charm.land/bubbletea/v2"), false, "a module"},
		{standard("unibus/core"), false, "this module"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.what, c.got)
		}
	}
	if names := load(t); len(names) < 5 || !slices.ContainsFunc(names, func(p pkg) bool { return p.name() == "core" }) {
		t.Errorf("go list found %d packages", len(names))
	}
}

// load lists the packages of the module.
func load(t *testing.T) []pkg {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// packages asks go once for all tests. A package that does not compile yet is listed all the same.
var packages = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Standard,GoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []pkg
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
})

// within says whether an import is a library, or one of its packages. unibus's own core
// is exact: the packages below it count as others.
func within(imp, library string) bool {
	if imp == library {
		return true
	}
	return library != "unibus/core" && strings.HasPrefix(imp, strings.TrimSuffix(library, "/")+"/")
}

// under says whether a package of the module is another one or below it.
func under(name, root string) bool { return name == root || strings.HasPrefix(name, root+"/") }

// standard packages have no dot in their first element, and are not this module.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".") && first != "unibus"
}
