// Package examples_test builds the examples and runs them against a node.
package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestExamples runs each example on the same node, one after the other: one process
// at a time may use a user's directory.
func TestExamples(t *testing.T) {
	t.Parallel()
	b := startBus(t)
	t.Run("encrypted-room", func(t *testing.T) { testEncryptedRoom(t, b) })
	t.Run("encrypted-room founded anew", func(t *testing.T) { testFoundAnew(t, b) })
	t.Run("echo", func(t *testing.T) { testEcho(t, b) })
	t.Run("sensor", func(t *testing.T) { testSensor(t, b) })
}

func testEncryptedRoom(t *testing.T, b *bus) {
	want := `bob reads "hello, bob", encrypted: true, from ann: true
the room has a new key: epoch 2, 1 member, because: member removed
bob is no longer a member: true
`
	if got := b.run(t, "encrypted-room"); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil || !strings.Contains(string(readme), "```\n"+want+"```\n") {
		t.Errorf("README.md does not show this output: %v", err)
	}
}

// testFoundAnew: the owner is shown all members first, and leaves the stranger out.
func testFoundAnew(t *testing.T, b *bus) {
	shown := b.run(t, "encrypted-room", "-found", "moved")
	for _, id := range b.ids[1:] {
		if !strings.Contains(shown, "the nodes name "+string(id)+" as member; safety number ") {
			t.Errorf("the members are shown as:\n%s", shown)
		}
	}
	want := shown + `ann has founded the room anew, with 2 members
bob reads "just us now", encrypted: true, from ann: true
`
	if got := b.run(t, "encrypted-room", "-found", "moved", "-known", string(b.ids[1])); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func testEcho(t *testing.T, b *bus) {
	b.start(t, "echo", "answering in the room echo, connected to n1")
	for _, text := range []string{"hello", "hello again"} { // the second time the user is in the room already
		if got := b.run(t, "echo", "-say", text); !strings.HasSuffix(got, " answers \""+text+"\"\n") {
			t.Errorf("the answer to %q is %q", text, got)
		}
	}
}

func testSensor(t *testing.T, b *bus) {
	b.start(t, "sensor", "sending to the room readings, connected to n1", "-every", "50ms")
	got := b.run(t, "sensor", "-read", "-count", "3")
	if readings := regexp.MustCompile(`(?m)^reading \d+: \d\d\.\d °C at `).FindAllString(got, -1); len(readings) != 3 {
		t.Errorf("got %q", got)
	}
}

// TestExamplesSayHowToRunThem: the comment at the top of each program has the
// command that runs it on a demo, and README.md lists it.
func TestExamplesSayHowToRunThem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/main.go")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	list, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(string(list), "]("+filepath.ToSlash(file)+")") {
			t.Errorf("README.md does not list %s", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		comment, _, _ := strings.Cut(string(text), "\npackage main\n")
		for _, line := range []string{"bin/unibusd demo --dir /tmp/d", "go run ./examples/" + filepath.Dir(file) + " -demo /tmp/d"} {
			if !strings.Contains(comment, "//\t"+line) {
				t.Errorf("%s does not say %q", file, line)
			}
		}
	}
}

// bus is a node with two users and a room of a legacy database, and a directory with the built
// examples.
type bus struct {
	dir   string
	flags []string
	env   []string
	ids   []core.UserID // ann, bob, and a stranger whom a legacy database calls a member
}

func startBus(t *testing.T) *bus {
	t.Helper()
	var seeds []string
	var ids []core.UserID
	rows := core.Snapshot{Rooms: []core.Room{{ID: "moved", Encrypted: true, Epoch: 1, Rec: core.LegacyRec, State: core.RoomActive, Created: 1}}}
	for i, name := range []string{"ann", "bob", "stranger"} {
		path, id := nodetest.SeedFile(t, name)
		user, role := core.UserID(id.Public()), core.MemberMember
		if i == 0 {
			rows.Rooms[0].Owner, role = user, core.MemberOwner
		}
		rows.Users = append(rows.Users, core.User{ID: user, Name: &name, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1})
		rows.Members = append(rows.Members, core.Member{Room: "moved", User: user, Role: role, State: core.MemberActive, Joined: 1})
		seeds, ids = append(seeds, path), append(ids, user)
	}
	rows.Sort()
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: rows})
	c.WaitServing(core.BackendSQLite, 0)
	b := &bus{dir: t.TempDir(), flags: []string{"-servers", c.URL(0), "-seeds", strings.Join(seeds[:2], ",")}, ids: ids}
	b.env = append(os.Environ(), "CGO_ENABLED=0", "UNIBUS_KNOWN_CLUSTERS="+filepath.Join(b.dir, "known_clusters"))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", b.dir, "./...")
	build.Env = b.env
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the examples: %v\n%s", err, out)
	}
	return b
}

func (b *bus) command(t *testing.T, name string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), filepath.Join(b.dir, name), append(b.flags, args...)...)
	cmd.Env = b.env
	return cmd
}

// run runs an example to its end and returns its output.
func (b *bus) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := b.command(t, name, args).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// start starts an example, waits until it prints a line, and ends it with the test.
func (b *bus) start(t *testing.T, name, line string, args ...string) {
	t.Helper()
	cmd := b.command(t, name, args)
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var printed []string
	lines := bufio.NewScanner(out)
	found := false
	for !found && lines.Scan() {
		printed = append(printed, lines.Text())
		found = lines.Text() == line
	}
	drained := make(chan struct{})
	go func() { // a full pipe would stop the program
		defer close(drained)
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-drained
		_ = cmd.Wait()
	})
	if !found {
		t.Fatalf("%s did not print %q, but:\n%s", name, line, strings.Join(printed, "\n"))
	}
}
