package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

// header is what Fence changes: the version and the triggers.
func header(t *testing.T, s *Store) []string {
	t.Helper()
	all, err := texts(t.Context(), s.read, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
	must(t, err)
	version, err := texts(t.Context(), s.read, "PRAGMA user_version")
	must(t, err)
	return append(all, version...)
}

func TestFenceAndLift(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s, other := create(t, path), opened(t, Config{Path: path})
	in := storetest.TwoRooms(t)
	_, err := s.Import(t.Context(), in)
	must(t, err)
	before := header(t, s)
	for range 2 { // twice is harmless
		must(t, s.Fence(t.Context()))
	}
	member, key, u := in.Members[0], in.Keys[0], in.Users[0].ID
	for _, st := range []*Store{s, other} {
		if fenced, err := st.Fenced(t.Context()); err != nil || !fenced {
			t.Errorf("Fenced: %v, %v", fenced, err)
		}
		_, errStatus := st.SetUserStatus(t.Context(), u, core.UserRevoked, 9)
		_, errRekey := storetest.Rekey(t.Context(), st, "a", 0, nil)
		_, errImport := st.Import(t.Context(), core.Snapshot{Users: []core.User{storetest.NewUser(t, "a")}})
		for _, err := range []error{
			st.AddUser(t.Context(), storetest.NewUser(t, "a")), errStatus, errRekey, errImport,
			st.CreateRoom(t.Context(), storetest.NewRoom("q", u)), st.PutMember(t.Context(), member),
			errOf(st.RemoveMember(t.Context(), member.Room, member.User)), st.PutKey(t.Context(), key),
		} {
			wantKind(t, err, core.KindUnavailable, "the control plane is moving")
		}
		if yes, err := core.HasAdmin(t.Context(), st, u, storetest.Start); err != nil {
			t.Errorf("a fence stopped a reader: %v, %v", yes, err)
		}
	}
	got, err := storetest.Export(t.Context(), s)
	must(t, err)
	if d := cmp.Diff(in, got); d != "" {
		t.Errorf("a fenced file changed:\n%s", d)
	}
	wantKind(t, New(Config{Path: path}).Open(t.Context()), core.KindRefused, "fenced")

	mover := opened(t, Config{Path: path, AllowFenced: true})
	if mover.SchemaVersion() != 1 {
		t.Errorf("version %d", mover.SchemaVersion())
	}
	for range 2 {
		must(t, mover.Lift(t.Context()))
	}
	if d := cmp.Diff(before, header(t, s)); d != "" {
		t.Errorf("Lift left more or less than there was:\n%s", d)
	}
	must(t, other.AddUser(t.Context(), storetest.NewUser(t, "a")))
}

// TestFenceStopsOlderPrograms: one that never looks at user_version is stopped by the triggers.
func TestFenceStopsOlderPrograms(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	_, err := s.Import(t.Context(), storetest.TwoRooms(t))
	must(t, err)
	must(t, s.Fence(t.Context()))
	for _, table := range []string{"users", "rooms", "members", "room_keys"} {
		for _, st := range []string{"DELETE FROM " + table, "UPDATE " + table + " SET rowid = rowid", "INSERT OR REPLACE INTO " + table + " SELECT * FROM " + table + " LIMIT 1"} {
			if err := raw(t, path, st); err == nil || !strings.Contains(err.Error(), "the control plane is moving") {
				t.Errorf("%s: %v", st, err)
			}
		}
	}
}

// TestFenceWithoutTriggers: the look at the version inside the transaction suffices by itself.
func TestFenceWithoutTriggers(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	must(t, raw(t, path, "PRAGMA user_version=1001"))
	wantKind(t, s.AddUser(t.Context(), storetest.NewUser(t, "a")), core.KindUnavailable, "moving")
	must(t, s.Lift(t.Context()))
	must(t, s.AddUser(t.Context(), storetest.NewUser(t, "a")))
}

const childEnv = "UNIBUS_SQLITE_TEST_CHILD"

// TestChild is not a test: it is the other process of TestTwoProcesses. For
// every id on its standard input it adds a user and prints the kind of error.
func TestChild(t *testing.T) {
	path := os.Getenv(childEnv)
	if path == "" {
		t.Skip("run by TestTwoProcesses")
	}
	s := opened(t, Config{Path: path})
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		id, err := core.ParseUserID(in.Text())
		if err == nil {
			err = s.AddUser(context.Background(), core.User{ID: id, Role: core.RoleMember, Status: core.UserActive})
		}
		fmt.Printf("kind=%s\n", core.KindOf(err))
	}
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	says := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the other process said %q, want %q", lines.Text(), want)
		}
	}
	says("ready")
	ids := make([]core.UserID, 20)
	for i := range ids {
		ids[i] = storetest.NewUserID(t)
		_, err := fmt.Fprintln(stdin, ids[i]) // the two write at the same time
		must(t, err)
		must(t, s.AddUser(t.Context(), storetest.NewUser(t, "own")))
	}
	for range ids {
		says("kind=")
	}
	if users, err := s.Users(t.Context()); err != nil || len(users) != 2*len(ids) {
		t.Errorf("%d users, %v", len(users), err)
	}
	must(t, s.Fence(t.Context()))
	late := storetest.NewUserID(t)
	_, err = fmt.Fprintln(stdin, late)
	must(t, err)
	says("kind=unavailable")
	must(t, s.Lift(t.Context()))
	_, err = fmt.Fprintln(stdin, late)
	must(t, err)
	says("kind=")
	must(t, stdin.Close())
	must(t, cmd.Wait())
}
