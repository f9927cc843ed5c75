package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// open opens a demo of fake nodes and closes it at the end of the test.
func open(t *testing.T, change func(*Config)) *Demo {
	t.Helper()
	cfg := fakeConfig(filepath.Join(t.TempDir(), "demo"))
	if change != nil {
		change(&cfg)
	}
	d := New(cfg)
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// until waits for a condition, at most ten seconds.
func until(t *testing.T, what string, good func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !good() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within ten seconds", what)
		case <-tick.C:
		}
	}
}

func TestDescriptionHasTheAgreedShape(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	data, err := os.ReadFile(filepath.Join(d.Dir(), descriptionFile))
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Top        map[string]json.RawMessage
		Nodes      []map[string]any           `json:"nodes"`
		Identities map[string]json.RawMessage `json:"identities"`
	}
	if err := errors.Join(json.Unmarshal(data, &raw.Top), json.Unmarshal(data, &raw)); err != nil {
		t.Fatal(err)
	}
	keysOf := func(m map[string]json.RawMessage) (out []string) {
		for k := range m {
			out = append(out, k)
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff([]string{"ca", "cluster", "cluster_key", "console", "identities", "legacy_db", "nodes"}, keysOf(raw.Top)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"admin", "auditor", "system", "users", "viewer"}, keysOf(raw.Identities)); diff != "" {
		t.Error(diff)
	}
	if len(raw.Nodes) != 3 || len(raw.Nodes[0]) != 4 {
		t.Errorf("nodes are %v", raw.Nodes)
	}
	desc, err := Load(d.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Description(), desc); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(desc.Nodes[0].URL, "tls://127.0.0.1:") || desc.LegacyDB != filepath.Join(d.Dir(), "n1", "unibus.db") {
		t.Errorf("got %+v", desc)
	}
	want := "unibus-tui --server " + strings.Join(desc.URLs(), ",") + " --identity " + desc.Identities.Admin + " --tls-ca " + desc.CA + " --cluster-key " + desc.ClusterKey
	if desc.Console != want {
		t.Errorf("console is %q, want %q", desc.Console, want)
	}
}

func TestFilesOfADemo(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	desc := d.Description()
	store := sqlite.New(sqlite.Config{Path: desc.LegacyDB})
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if n, err := store.Counts(t.Context()); err != nil || n.Users != 8 || n.Rooms != 3 {
		t.Errorf("the legacy database has %+v, %v", n, err)
	}
	if len(desc.Identities.Users) != identityUsers {
		t.Errorf("%d users can connect", len(desc.Identities.Users))
	}
	for _, f := range desc.Identities.Users {
		id, err := keys.ReadSeed(f)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := storetest.IsAuthorized(t.Context(), store, core.UserID(id.Public())); !ok || err != nil {
			t.Errorf("%s is not an active user: %v", f, err)
		}
	}
	roles := map[core.OperatorRole]string{
		core.OperatorAdmin: desc.Identities.Admin, core.OperatorViewer: desc.Identities.Viewer,
		core.OperatorSystem: desc.Identities.System, core.OperatorAuditor: desc.Identities.Auditor,
	}
	ports := map[string]bool{}
	for _, n := range desc.Nodes {
		got, err := config.Load(filepath.Join(d.Dir(), n.Name, configFile), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != n.Name || got.Data != n.DataDir || got.Size() != 3 || got.BusAuth != core.BusAuthEnforce || !got.TLS() || got.RouteTLSCA == desc.CA {
			t.Errorf("%s is configured as %+v", n.Name, got)
		}
		ports[got.Listen], ports[got.ClusterListen] = true, true
		for _, op := range got.Operators {
			if id, err := keys.ReadSeed(roles[op.Role]); err != nil || id.Public() != op.Key {
				t.Errorf("the identity of %s is not in %s's configuration: %v", op.Role, n.Name, err)
			}
		}
		if _, err := os.Stat(got.DB); (err == nil) != (n.Name == "n1") {
			t.Errorf("%s has a database: %v", n.Name, err == nil)
		}
		if _, err := keys.LoadPair(got.TLSCert, got.TLSKey); err != nil {
			t.Error(err)
		}
		if _, err := keys.LoadPair(got.RouteTLSCert, got.RouteTLSKey); err != nil {
			t.Error(err)
		}
	}
	if len(ports) != 6 {
		t.Errorf("%d addresses, want 6", len(ports))
	}
}

func TestStopAndStartFromElsewhere(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	start := StartConfig{Dir: d.Dir(), Node: "n3", Binary: os.Args[0], Environ: d.cfg.Environ, CheckReady: lockedReady}
	wantKind(t, Start(t.Context(), start), core.KindExists, "n3 is running already")
	if err := Stop(t.Context(), d.Dir(), "n3"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, Stop(t.Context(), d.Dir(), "n3"), core.KindConflict, "n3 is not running")
	before := d.Description().Nodes[2].PID
	if err := Start(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	desc, err := Load(d.Dir())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := lockHolder(desc.Nodes[2].DataDir)
	if err != nil || pid == 0 || pid == before || desc.Nodes[2].PID != pid {
		t.Errorf("n3 is process %d (%v), demo.json says %d, it was %d", pid, err, desc.Nodes[2].PID, before)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	allGone(t, desc)
	if _, err := Load(d.Dir()); core.KindOf(err) != core.KindNotFound {
		t.Errorf("demo.json after the end: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestAKilledNodeIsNotRestartedAndCanBeStarted(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	n2 := d.Description().Nodes[1]
	if err := syscall.Kill(n2.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "n2 is gone", func() bool { pid, _ := lockHolder(n2.DataDir); return pid == 0 })
	wantKind(t, d.Stop(t.Context(), "n2"), core.KindConflict, "n2 is not running")
	if err := d.Start(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, d.Start(t.Context(), "n2"), core.KindExists, "n2 is running already")
}

func TestNodesDieWithTheDemo(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parent")
	}
	dir := filepath.Join(t.TempDir(), "demo")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"=holder", dirVar+"="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	until(t, "demo.json is there", func() bool { _, err := Load(dir); return err == nil })
	desc, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	allGone(t, desc)
}

func allGone(t *testing.T, desc Description) {
	t.Helper()
	for _, n := range desc.Nodes {
		until(t, n.Name+" is gone", func() bool { pid, err := lockHolder(n.DataDir); return pid == 0 && err == nil })
	}
}

func TestANodeThatDoesNotStart(t *testing.T) {
	t.Parallel()
	cfg := fakeConfig(filepath.Join(t.TempDir(), "demo"))
	cfg.Environ = append(os.Environ(), roleVar+"=broken")
	d := New(cfg)
	wantKind(t, d.Open(t.Context()), core.KindFailed, "a reason in the log")
	if _, err := os.Stat(filepath.Join(cfg.Dir, "n1", logFile)); err != nil {
		t.Errorf("the log was not kept: %v", err)
	}

	cfg = fakeConfig(filepath.Join(t.TempDir(), "demo"))
	cfg.Binary = filepath.Join(t.TempDir(), "none")
	wantKind(t, New(cfg).Open(t.Context()), core.KindFailed, "cannot be started")

	cfg = fakeConfig(filepath.Join(t.TempDir(), "demo"))
	cfg.StartTimeout = 100 * time.Millisecond
	cfg.CheckReady = func(context.Context, Description, string) error { return errors.New("nobody answers") }
	wantKind(t, New(cfg).Open(t.Context()), core.KindUnavailable, "nobody answers")
}

func TestATemporaryDirectoryGoes(t *testing.T) {
	t.Parallel()
	d := open(t, func(c *Config) { c.Dir, c.Store, c.Replicas = "", core.BackendKV, 3 })
	if desc := d.Description(); desc.LegacyDB != "" || len(desc.Identities.Users) != 0 {
		t.Errorf("a demo that begins with KV has %+v", desc)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", d.Dir(), err)
	}
}

func TestBadDirectoriesAndNumbers(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	file := filepath.Join(full, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Config)
		kind   core.Kind
		want   string
	}{
		{func(c *Config) { c.Dir = full }, core.KindRefused, "is not empty"},
		{func(c *Config) { c.Dir = file }, core.KindInvalid, "cannot be used"},
		{func(c *Config) { c.Dir = filepath.Join(file, "below") }, core.KindInvalid, "cannot be"},
		{func(c *Config) { c.Nodes = 1 }, core.KindInvalid, "--nodes is 1"},
		{func(c *Config) { c.Nodes = 6 }, core.KindInvalid, "--nodes is 6"},
		{func(c *Config) { c.Users = 0 }, core.KindInvalid, "--users is 0"},
		{func(c *Config) { c.Rooms = -1 }, core.KindInvalid, "--rooms is -1"},
		{func(c *Config) { c.Binary = "" }, core.KindFailed, "without the path"},
		{func(c *Config) { c.Replicas = 4 }, core.KindInvalid, "--replicas is 4"},
	} {
		cfg := fakeConfig(filepath.Join(t.TempDir(), "demo"))
		c.change(&cfg)
		wantKind(t, New(cfg).Open(t.Context()), c.kind, c.want)
	}
	left, err := os.ReadDir(full)
	if err != nil || len(left) != 1 {
		t.Errorf("the directory that was refused was changed: %v, %v", left, err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Load(dir)
	wantKind(t, err, core.KindNotFound, "no demo is running in "+dir)
	wantKind(t, Stop(t.Context(), dir, "n1"), core.KindNotFound, "no demo is running")
	for _, text := range []string{"", "{", "[]", "{}"} {
		if err := os.WriteFile(filepath.Join(dir, descriptionFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		wantKind(t, err, core.KindFailed, "is not the description of a demo")
	}
	_, err = Description{Nodes: []Node{{Name: "n1"}, {Name: "n2"}}}.Node("n9")
	wantKind(t, err, core.KindNotFound, `no node "n9"`)
}

func TestALockThatNamesNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, lockFile)
	for _, text := range []string{"", "x", "-5", "1", "0"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := lockHolder(dir); pid != 0 || err != nil {
			t.Errorf("a lock that nobody holds: %d, %v", pid, err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		_, err = signalLockHolder(dir, syscall.SIGTERM)
		wantKind(t, err, core.KindFailed, "names no process")
		_ = f.Close()
	}
}

func TestAProcessThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	n1 := d.Description().Nodes[0]
	if err := syscall.Kill(n1.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantKind(t, Stop(ctx, d.Dir(), "n1"), core.KindUnavailable, "did not stop in time")
	d.nodes["n1"].stop(ctx)
	if pid, err := lockHolder(n1.DataDir); pid != 0 || err != nil {
		t.Errorf("n1 is still there: %d, %v", pid, err)
	}
}

func TestShellWord(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"/a/b-c.nk": "/a/b-c.nk", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
	}
}

func wantKind(t *testing.T, err error, kind core.Kind, text string) {
	t.Helper()
	if core.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %q (%v), want %q with %q", core.KindOf(err), err, kind, text)
	}
}
