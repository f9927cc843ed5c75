package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/client"
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

// TestRestoreGuide plays the commands of the guide as they stand, as root. The backup can
// be read by root alone, operators and a user-admin denied users after it, and the service
// has a user of its own. Exactly those users are denied again.
func TestRestoreGuide(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	if _, err := exec.LookPath("runuser"); err != nil || os.Geteuid() != 0 {
		t.Skip("the guide is for root, and needs runuser")
	}
	g := newGuide(t)
	g.run("install -d -m 700 -o " + guideUser + " " + g.dir + "/unibus")
	public := g.keygen("operator", "op")
	connect := fmt.Sprintf(" --server nats://127.0.0.1:%d --identity op.nk", g.port)
	stop := g.serve(public)
	g.await("unibusd user list" + connect)
	users := map[string]string{}
	for _, name := range []string{"kept", "revoked", "chief", "by-chief", "failed", "shorter", "longer", "ended", "again", "moved"} {
		users[name] = g.keygen("user", name)
		role := map[bool]string{true: "admin", false: "member"}[name == "chief"]
		g.run("unibusd user add " + users[name] + " --expires 90d --role " + role + connect)
	}
	g.run("unibusd backup --out unibus-2026-11-22.db" + connect)
	g.undone(users, connect)
	stop()

	said := ""
	for _, block := range g.blocks() {
		said += g.script(block)
	}
	list := regexp.MustCompile(`(?m)^(?:revoke|extend) .*  # .*$`).FindAllString(said, -1)
	if half := len(list) / 2; !slices.Equal(list[:half], list[half:]) { // listed, and then denied
		t.Errorf("the guide's two commands say %q", list)
	}
	for _, name := range strings.Fields(g.run("ls -A unibus")) {
		if owner := strings.TrimSpace(g.run("stat -c '%U %a' unibus/" + name)); owner != guideUser+" 600" {
			t.Errorf("%s is of %s", name, owner)
		}
	}
	var denied []string
	for _, line := range list[:len(list)/2] {
		command, by, _ := strings.Cut(line, "  # ")
		verb, _, _ := strings.Cut(by, " ")
		for name, id := range users {
			command = strings.ReplaceAll(command, id, name)
		}
		denied = append(denied, command+", "+verb)
	}
	if d := cmp.Diff([]string{
		"revoke revoked, user-revoke", "revoke by-chief, user-revoke", "extend shorter --expires " + guideEnd + ", user-extend",
		"revoke ended, user-extend", "revoke moved, user-replace",
	}, denied); d != "" {
		t.Errorf("the guide's list (- expected, + found):\n%s", d)
	}
	for line := range strings.Lines(strings.Join(g.blocks(), "")) { // as the guide says: once more
		if strings.Contains(line, "audit revocations") && !strings.Contains(line, "--apply") {
			if out := g.run(strings.TrimSpace(line)); out != "" {
				t.Errorf("after that, it still lists %s", out)
			}
		}
	}
	stop = g.serve(public)
	defer stop()
	g.await("unibusd user list" + connect)
	for name, status := range map[string]string{
		"kept": "active", "revoked": "revoked", "chief": "active", "by-chief": "revoked", "failed": "active", "shorter": "active, ends " + strings.NewReplacer("T", " ", "Z", "").Replace(guideEnd),
		"longer": "active", "ended": "revoked", "again": "active", "moved": "revoked",
	} {
		if got := g.run("unibusd user get " + users[name] + connect); !strings.Contains(got, status) {
			t.Errorf("%s: want %s: %s", name, status, got)
		}
	}
	for _, name := range []string{"late", "new"} {
		if out, err := g.command("unibusd user get " + users[name] + connect).CombinedOutput(); err == nil {
			t.Errorf("a user who was added after the backup is there: %s", out)
		}
	}
}

// guideEnd is an end before that of the other users, and after the test.
var guideEnd = time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)

// undone does what the restored backup does not know: it denies some users, and seems to
// deny others.
func (g restorePage) undone(users map[string]string, connect string) {
	g.t.Helper()
	users["late"], users["new"] = g.keygen("user", "late"), g.keygen("user", "new")
	op := func(format string, args ...any) {
		g.t.Helper()
		g.run("unibusd user " + fmt.Sprintf(format, args...) + connect)
	}
	op("add %s", users["late"])
	op("revoke %s", users["revoked"])
	op("revoke %s", users["late"])
	g.asUserAdmin("chief.nk", func(ctx context.Context, c *client.Client) error {
		_, err := c.Revoke(ctx, core.UserID(users["by-chief"]))
		return err
	})
	g.run("mv unibus/unibus.db elsewhere.db") // a file that is not in its place takes no changes
	if out, err := g.command("unibusd user revoke " + users["failed"] + connect).CombinedOutput(); err == nil {
		g.t.Fatalf("a revocation that has to fail: %s", out)
	}
	g.run("mv elsewhere.db unibus/unibus.db")
	op("extend %s --expires %s", users["shorter"], guideEnd)
	op("extend %s --expires never", users["longer"])
	op("extend %s --expires 1s", users["ended"])
	op("revoke %s", users["again"])
	g.asUserAdmin("chief.nk", func(ctx context.Context, c *client.Client) error {
		_, err := c.Activate(ctx, core.UserID(users["again"]))
		return err
	})
	op("replace %s %s", users["moved"], users["new"])
	g.await("unibusd user get " + users["ended"] + connect + " | grep -q expired")
}

// keygen makes a seed, and returns the public key.
func (g restorePage) keygen(kind, name string) string {
	g.t.Helper()
	return strings.TrimSpace(g.run("unibusd keygen " + kind + " --out " + name + ".nk"))
}

// asUserAdmin acts as a program of a user does.
func (g restorePage) asUserAdmin(seed string, act func(context.Context, *client.Client) error) {
	g.t.Helper()
	c := client.New(client.Config{Servers: []string{fmt.Sprintf("nats://127.0.0.1:%d", g.port)}, Seed: filepath.Join(g.dir, seed), Dir: g.t.TempDir(), Name: "chief"})
	err := c.Open(g.t.Context())
	if err == nil {
		err = errors.Join(act(g.t.Context(), c), c.Close())
	}
	if err != nil {
		g.t.Fatal(err)
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
	replace := strings.NewReplacer("/var/lib/", g.dir+"/", "-o unibus -g unibus", "-o "+guideUser, "-u unibus", "-u "+guideUser, "HEX", hex.EncodeToString(sum[:]),
		"--since 2026-11-22", "--since "+time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	var out []string
	for _, m := range found {
		out = append(out, replace.Replace(m[1]))
	}
	return out
}

// script runs a block line by line, and returns what it printed; the service manager's part
// is done by the test.
func (g restorePage) script(block string) (out string) {
	g.t.Helper()
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "systemctl ") {
			out += g.run(line)
		}
	}
	return out
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
