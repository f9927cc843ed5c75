package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core/loopback"
	"unibus/core/nodetest"
)

// guideUser takes the part of the user unibus: every system has it.
const guideUser = "nobody"

// restorePage plays docs/operations/restore.md on one node, below a directory of its own.
type restorePage struct {
	t    *testing.T
	dir  string // in the place of /var/lib, and the working directory
	port int
	env  []string
}

// TestRestoreGuide plays the commands of the guide as they stand, as root: a backup that
// only root can read, a user who was revoked after it, and a service with a user of its own.
func TestRestoreGuide(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	if _, err := exec.LookPath("runuser"); err != nil || os.Geteuid() != 0 {
		t.Skip("the guide is for root, and needs runuser")
	}
	g := newGuide(t)
	g.run("install -d -m 700 -o " + guideUser + " " + g.dir + "/unibus")
	public := strings.TrimSpace(g.run("unibusd keygen operator --out op.nk"))
	kept, revoked := strings.TrimSpace(g.run("unibusd keygen user --out kept.nk")), strings.TrimSpace(g.run("unibusd keygen user --out revoked.nk"))
	late := strings.TrimSpace(g.run("unibusd keygen user --out late.nk"))
	connect := fmt.Sprintf(" --server nats://127.0.0.1:%d --identity op.nk", g.port)

	stop := g.serve(public)
	g.await("unibusd user list" + connect)
	g.run("unibusd user add " + kept + connect)
	g.run("unibusd user add " + revoked + connect)
	g.run("unibusd backup --out unibus-2026-11-22.db" + connect)
	g.run("unibusd user add " + late + connect)
	g.run("unibusd user revoke " + revoked + connect)
	g.run("unibusd user revoke " + late + connect)
	g.await("grep -q " + late + " unibus/audit.jsonl")
	stop()

	for _, block := range g.blocks() {
		g.script(block)
	}
	for _, name := range strings.Fields(g.run("ls -A unibus")) {
		if owner := strings.TrimSpace(g.run("stat -c '%U %a' unibus/" + name)); owner != guideUser+" 600" {
			t.Errorf("%s is of %s", name, owner)
		}
	}
	stop = g.serve(public)
	defer stop()
	g.await("unibusd user list" + connect)
	for id, status := range map[string]string{kept: "active", revoked: "revoked"} {
		if got := g.run("unibusd user get " + id + connect); !strings.Contains(got, status) {
			t.Errorf("want %s: %s", status, got)
		}
	}
	if out, err := g.command("unibusd user get " + late + connect).CombinedOutput(); err == nil {
		t.Errorf("a user who was added after the backup is there: %s", out)
	}
}

func newGuide(t *testing.T) restorePage {
	t.Helper()
	ports, err := loopback.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "guide") // t.TempDir is inside a directory that no other user enters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := restorePage{t: t, dir: dir, port: ports[0], env: append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "UNIBUS_KNOWN_CLUSTERS="+os.DevNull)}
	g.run("chmod 755 . && mkdir bin && install -m 755 " + program(t, "unibusd") + " bin/unibusd")
	return g
}

// serve runs the node as the service's user; stop ends it.
func (g restorePage) serve(operator string) (stop func()) {
	g.t.Helper()
	c := g.command(fmt.Sprintf("exec unibusd serve --name n1 --data %s/unibus --listen 127.0.0.1:%d --bus-auth enforce --operator %s:admin:op", g.dir, g.port, operator))
	who, err := osuser.Lookup(guideUser)
	if err != nil {
		g.t.Skip(err)
	}
	var uid, gid uint32
	_, _ = fmt.Sscan(who.Uid, &uid)
	_, _ = fmt.Sscan(who.Gid, &gid)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	if err := c.Start(); err != nil {
		g.t.Fatal(err)
	}
	return func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	}
}

// blocks are the commands of the guide's steps, with this directory, user and backup.
func (g restorePage) blocks() []string {
	g.t.Helper()
	text := read(g.t, filepath.Join("..", "..", "docs", "operations", "restore.md"))
	_, text, _ = strings.Cut(text, "\n## When a majority was lost for good, or every node\n")
	text, _, _ = strings.Cut(text, "\n## ")
	found := regexp.MustCompile("(?ms)^ *```\n(.*?)^ *```").FindAllStringSubmatch(text, -1)
	if len(found) < 3 || !strings.Contains(text, "runuser") {
		g.t.Fatalf("the guide has %d blocks of commands", len(found))
	}
	saved, err := os.ReadFile(filepath.Join(g.dir, "unibus-2026-11-22.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	sum := sha256.Sum256(saved)
	replace := strings.NewReplacer("/var/lib/", g.dir+"/", "-o unibus -g unibus", "-o "+guideUser, "-u unibus", "-u "+guideUser, "HEX", hex.EncodeToString(sum[:]))
	var out []string
	for _, m := range found {
		out = append(out, replace.Replace(m[1]))
	}
	return out
}

// script runs a block line by line; the service manager's part is done by the test.
func (g restorePage) script(block string) {
	g.t.Helper()
	for line := range strings.Lines(block) {
		switch line = strings.TrimSpace(line); {
		case line == "" || strings.HasPrefix(line, "systemctl "):
		case strings.HasPrefix(line, "for "): // one of the users is not in the backup
			_ = g.command(line).Run()
		default:
			g.run(line)
		}
	}
}

func (g restorePage) command(line string) *exec.Cmd {
	c := exec.CommandContext(g.t.Context(), "sh", "-c", line)
	c.Dir, c.Env = g.dir, g.env
	return c
}

func (g restorePage) run(line string) string {
	g.t.Helper()
	c := g.command(line)
	var problems strings.Builder
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		g.t.Fatalf("%s: %v: %s%s", line, err, out, problems.String())
	}
	return string(out)
}

func (g restorePage) await(line string) {
	g.t.Helper()
	nodetest.Wait(g.t, 20*time.Second, func() error {
		out, err := g.command(line).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}
