package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/cmd/cli/clitest"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestSupportBundle: the store, log and requests of a cluster hold secrets and names, and
// a bundle shows none. It is also made without a quorum, and then names the parts that it
// lacks.
func TestSupportBundle(t *testing.T) {
	t.Parallel()
	secrets := clitest.Secrets(plantedSeed(t))
	rows := nodetest.SampleRows(t, 200)
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true, Env: []string{"WEBHOOK_TOKEN=opaque-passphrase"}})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	user := nodetest.Identity(t)
	name := "Quokka Wombat"
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(user.Public()), Name: &name, Expires: core.MillisOf(time.Now().Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	provokeLines(t, p, secrets)
	out := filepath.Join(t.TempDir(), "bundle.tar.gz")
	text, code := saveBundle(t, p, p.AdminSeedFile, out)
	if code != 0 {
		t.Fatalf("it ended with %d: %s", code, text)
	}
	files := unpackBundle(t, out)
	for _, want := range []string{"manifest.json", "fields.txt", "status.json", "streams.json", "events.json", "migration.json", "audit.json", "node.json", "log.txt"} {
		if len(files[want]) < 20 {
			t.Errorf("%s has %d bytes: %s", want, len(files[want]), files[want])
		}
	}
	for file, want := range map[string]string{
		"status.json": `"verdict":`, "streams.json": "UNIBUS_users", "node.json": `"goroutines":`, "log.txt": "serving", "audit.json": `"sha256":`, "events.json": "leads",
	} {
		if !strings.Contains(files[file], want) {
			t.Errorf("%s lacks %s: %s", file, want, files[file])
		}
	}
	all := strings.Join(valuesOf(files), "\n")
	checkNothingPlanted(t, all, secrets, append(boxesOf(rows), name, "Quokka", "planted-name", "opaque-subject", "opaque-passphrase", strings.TrimSpace(read(t, p.AdminSeedFile))))
	audit, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 1})
	if err != nil || len(audit.Records) != 1 || audit.Records[0].Verb != "support" || audit.Records[0].Outcome != "ok" {
		t.Errorf("the audit has %+v, %v", audit.Records, err)
	}
	checkBundleWithoutQuorum(t, p, cl)
}

// provokeLines has clients and commands put text into a node's log.
func provokeLines(t *testing.T, p *nodetest.Processes, secrets []clitest.Secret) {
	t.Helper()
	for _, s := range secrets {
		nc, err := p.Connect(0, nodetest.Identity(t), nats.Name("planted-name "+s.Value), nats.Token(s.Value))
		if err == nil {
			nc.Close()
			t.Error("a client without a key was admitted")
		}
		runCommand(p, []string{"user", "get", s.Value})
		runCommand(p, []string{"step-down", "opaque-subject"})
	}
}

func saveBundle(t *testing.T, p *nodetest.Processes, identity, out string, more ...string) (string, int) {
	t.Helper()
	c := exec.Command(program(t, "unibusd"), append([]string{"support-bundle", out, "--server", p.URLs(0)[0], "--identity", identity}, more...)...)
	text, _ := c.CombinedOutput() // the code says how it ended
	return string(text), c.ProcessState.ExitCode()
}

func boxesOf(s core.Snapshot) []string {
	var out []string
	for _, k := range s.Keys {
		out = append(out, base64.StdEncoding.EncodeToString(k.Box))
	}
	return out
}

func valuesOf(files map[string]string) []string {
	var out []string
	for _, text := range files {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func checkNothingPlanted(t *testing.T, text string, secrets []clitest.Secret, others []string) {
	t.Helper()
	if found := clitest.Found(text, secrets); found != "" {
		t.Errorf("the bundle shows %s", found)
	}
	for _, other := range others {
		if other != "" && strings.Contains(text, other) {
			t.Errorf("the bundle shows %s", other)
		}
	}
}

// checkBundleWithoutQuorum kills two nodes of three.
func checkBundleWithoutQuorum(t *testing.T, p *nodetest.Processes, cl *admin.Client) {
	t.Helper()
	p.Kill(1)
	p.Kill(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Online == 1 && st.Meta.Leader == "" })
	// Each group has an election of its own: the leader of the audit's stream answers until it finds itself alone.
	nodetest.Wait(t, 60*time.Second, func() error {
		if _, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 1}); core.KindOf(err) != core.KindUnavailable {
			return fmt.Errorf("the audit is answered still: %v", err)
		}
		return nil
	})
	out := filepath.Join(t.TempDir(), "late.tar.gz")
	text, code := saveBundle(t, p, p.AdminSeedFile, out, "--json")
	if code != 0 {
		t.Fatalf("it ended with %d: %s", code, text)
	}
	var doc struct {
		Missing []string `json:"missing"`
		Bytes   int      `json:"bytes"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.Missing) == 0 || doc.Bytes == 0 {
		t.Errorf("%v: %s", err, text)
	}
	files := unpackBundle(t, out)
	if !strings.Contains(files["manifest.json"], "audit.json") || !strings.Contains(files["log.txt"], "serving") || !strings.Contains(files["status.json"], `"critical"`) {
		t.Errorf("%s\n%s", files["manifest.json"], files["log.txt"])
	}
}

// TestSupportBundleRefuses what is there, a viewer, and a directory that is not.
func TestSupportBundleRefuses(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1})
	p.Client()
	dir := t.TempDir()
	good := filepath.Join(dir, "good.tar.gz")
	if text, code := saveBundle(t, p, p.AdminSeedFile, good); code != 0 {
		t.Fatalf("%d: %s", code, text)
	}
	info, err := os.Stat(good)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link.tar.gz")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		out  string
		args []string
		code int
		text string
	}{
		"a file that is there":          {good, nil, 1, "is there already"},
		"a link":                        {filepath.Join(dir, "link.tar.gz"), nil, 1, "is there already"},
		"no directory":                  {filepath.Join(dir, "absent", "x.tar.gz"), nil, 1, "cannot be written"},
		"another ending":                {filepath.Join(dir, "x.zip"), nil, 2, "ends in .tar.gz"},
		"two files":                     {filepath.Join(dir, "x.tar.gz"), []string{"y.tar.gz"}, 2, "takes one file"},
		"a node that does not exist":    {filepath.Join(dir, "x.tar.gz"), []string{"--node", "n9"}, 4, "n9"},
		"a node of an impossible name":  {filepath.Join(dir, "x.tar.gz"), []string{"--node", "../n9"}, 2, "not a node's name"},
		"what would be hidden by a dir": {dir + "/.tar.gz/x.tar.gz", nil, 1, "cannot be written"},
	} {
		before, _ := os.ReadDir(dir)
		text, code := saveBundle(t, p, p.AdminSeedFile, c.out, c.args...)
		if after, _ := os.ReadDir(dir); code != c.code || !strings.Contains(text, c.text) || len(after) != len(before) {
			t.Errorf("%s: %d: %s", name, code, text)
		}
	}
}

func unpackBundle(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r, files := tar.NewReader(z), map[string]string{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "unibus-support/")] = string(text)
	}
}
