package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/binding"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// startTwoFiles starts three nodes. n1 and n2 each serve a file of their own.
func startTwoFiles(t *testing.T, first, second core.Snapshot) *nodetest.Cluster {
	t.Helper()
	c := nodetest.Start(t, nodetest.Config{Seed: first})
	c.WaitServing(core.BackendSQLite, 0)
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Seed(t, c.Configs[1].DB, second)
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	seesFile(t, c)
	return c
}

// seesFile waits until n1 has seen n2 serve its file.
func seesFile(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	c.WaitServing(core.BackendSQLite, 0, 1)
	cl := c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.Name == "n2" && n.Online && n.Info != nil && n.Info.Serving.Backend == core.BackendSQLite {
				return nil
			}
		}
		return fmt.Errorf("n1 has not seen n2 serve: %+v", st.Nodes)
	})
}

// moveTo starts a migration on n1 and returns its status when it stopped.
func moveTo(t *testing.T, c *nodetest.Cluster, o migrate.Options) (last migrate.Status) {
	t.Helper()
	o.DB, o.Replicas = c.Configs[0].DB, 3
	cl := c.Client(0, c.Admin)
	var started migrate.Status
	nodetest.Wait(t, 30*time.Second, func() (err error) { // the record needs a quorum first
		started, err = cl.MigrateStart(t.Context(), "n1", o)
		return err
	})
	nodetest.Wait(t, 60*time.Second, func() error {
		st, err := cl.Migration(t.Context())
		if err != nil {
			return err
		}
		if st.Running || st.Updated < started.Updated {
			return fmt.Errorf("the move is at %s", st.State)
		}
		last = st
		return nil
	})
	return last
}

// dump returns everything in a file. It reads the file directly, not through its node.
func dump(t *testing.T, path string) core.Snapshot {
	t.Helper()
	s := sqlite.New(sqlite.Config{Path: path, ReadOnly: true})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	all, err := storetest.Export(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// admits says whether node i admits the user. A node that cannot decide does not.
func admits(t *testing.T, c *nodetest.Cluster, i int, id keys.Identity) bool {
	t.Helper()
	nc, err := c.Connect(i, id)
	if err == nil {
		nc.Close()
		return true
	}
	if !errors.Is(err, nats.ErrAuthorization) && !binding.Undecided(err) {
		t.Fatalf("connecting to %s: %v", c.Configs[i].Name, err)
	}
	return false
}

// TestDriftedFileIsTheOperatorsChoice: n2's file diverged from n1's. The migration is refused
// with the counts. With n2 ignored it continues. n2 stops serving its file, which stays as
// it was; n2 serves it again after an abort, and never after a cutover.
func TestDriftedFileIsTheOperatorsChoice(t *testing.T) {
	t.Parallel()
	a, b, late := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	first, second := seed(a, b), seed(a, b)
	second.Users[0].Updated++
	second.Users = append(second.Users, user(late))
	second.Members = append(second.Members, core.Member{
		Room: second.Rooms[0].ID, User: core.UserID(late.Public()), Role: core.MemberMember, State: core.MemberActive, Joined: 1,
	})
	c := startTwoFiles(t, first, second)
	was := dump(t, c.Configs[1].DB)
	if !admits(t, c, 1, late) {
		t.Fatal("n2 does not serve its own file")
	}

	st := moveTo(t, c, migrate.Options{})
	if st.State != migrate.StatePreflight || st.Error == nil || st.Error.Kind != core.KindRefused || len(st.Problems) != 1 || !strings.Contains(st.Problems[0].Text, "users 1 only there and 1 different, members 1 only there") {
		t.Fatalf("%s, %v, %+v", st.State, st.Error, st.Problems)
	}
	want := []migrate.TableDivergence{
		{Table: core.TableUsers, OnlyThere: 1, Different: 1, Keys: []string{"there/" + late.Public(), "different/" + a.Public()}},
		{Table: core.TableRooms},
		{Table: core.TableMembers, OnlyThere: 1, Keys: []string{"there/" + string(second.Rooms[0].ID) + "." + late.Public()}},
		{Table: core.TableRoomKeys},
	}
	if d := cmp.Diff([]migrate.Divergence{{Node: "n2", File: c.Configs[1].DB, Tables: want}}, st.Divergences); d != "" {
		t.Fatal(d)
	}
	if st.EstimateMS <= 0 {
		t.Error("no estimate")
	}
	if !admits(t, c, 1, late) {
		t.Error("n2 stopped serving though nothing was begun")
	}

	discard := migrate.Options{IgnoredNodes: []string{"n2"}}
	st = moveTo(t, c, discard)
	if st.State != migrate.StateVerify || st.Error != nil || !st.Verified || !st.Divergences[0].Ignored {
		t.Fatalf("%s, %v, %+v", st.State, st.Error, st.Divergences)
	}
	if admits(t, c, 1, late) {
		t.Error("n2 serves its file beside the recorded one")
	}
	if _, err := c.Client(0, c.Admin).MigrateAbort(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	c.WaitServing(core.BackendSQLite, 0, 1)
	if !admits(t, c, 1, late) {
		t.Error("after the abort n2 does not serve its file as before")
	}

	discard.Cutover = true
	if st = moveTo(t, c, discard); st.State != migrate.StateSoak {
		t.Fatalf("%s, %v", st.State, st.Error)
	}
	c.WaitServing(core.BackendKV, 0, 1, 2)
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(1); err != nil { // --store sqlite, with its file still there
		t.Fatal(err)
	}
	c.WaitServing(core.BackendKV, 1)
	if admits(t, c, 1, late) || !admits(t, c, 1, a) {
		t.Error("n2 serves something else than KV after a restart")
	}
	if d := cmp.Diff(was, dump(t, c.Configs[1].DB)); d != "" {
		t.Errorf("n2's file was touched:\n%s", d)
	}
}

// TestEqualFileIsNoProblem: an equal copy of the source on another node is shown, and the
// migration continues.
func TestEqualFileIsNoProblem(t *testing.T) {
	t.Parallel()
	a, b := nodetest.Identity(t), nodetest.Identity(t)
	c := startTwoFiles(t, seed(a, b), seed(a, b))
	st := moveTo(t, c, migrate.Options{DryRun: true})
	if st.Error != nil || len(st.Problems) != 0 || len(st.Divergences) != 1 || !st.Divergences[0].Equal() || len(st.Divergences[0].Tables) != 4 {
		t.Fatalf("%v, %+v, %+v", st.Error, st.Problems, st.Divergences)
	}
}

// TestDriftOfManyRows: the divergence takes many pages, and the comparison ends at a row that
// cannot be converted.
func TestDriftOfManyRows(t *testing.T) {
	t.Parallel()
	first := core.Snapshot{}
	for range 5000 {
		first.Users = append(first.Users, user(nodetest.Identity(t)))
	}
	second := core.Snapshot{Users: slices.Clone(first.Users)}
	for i := range second.Users {
		if i%10 == 0 {
			second.Users[i].Role = core.RoleAdmin
		}
	}
	c := startTwoFiles(t, first, second)
	st := moveTo(t, c, migrate.Options{DryRun: true})
	if len(st.Divergences) != 1 || st.Divergences[0].Tables[0].Different != 500 || len(st.Divergences[0].Tables[0].Keys) != migrate.MaxListed || st.Divergences[0].Tables[0].OnlyHere+st.Divergences[0].Tables[0].OnlyThere != 0 {
		t.Fatalf("%v, %+v", st.Error, st.Divergences)
	}
	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, c.Configs[1].DB, first.Users[7].ID, first.Users[8].ID)
	if err := c.Open(1); err != nil {
		t.Fatal(err)
	}
	seesFile(t, c)
	st = moveTo(t, c, migrate.Options{DryRun: true})
	if len(st.Problems) != 3 || !strings.Contains(st.Problems[0].Text, "2 rows cannot be converted") || st.Problems[1].Key == "" || len(st.Divergences) != 1 || st.Divergences[0].Error == "" {
		t.Fatalf("%v, %+v, %+v", st.Error, st.Problems, st.Divergences)
	}
}

// spoil gives users a role that does not exist, in the bytes of a file that no process has open.
func spoil(t *testing.T, path string, ids ...core.UserID) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		row := []byte(string(id) + "member")
		if !bytes.Contains(data, row) {
			t.Fatalf("%s is not in %s", row, path)
		}
		data = bytes.ReplaceAll(data, row, []byte(string(id)+"nobody")) // pages that were split keep what they held
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFileOfANodeIsReadInPages: all rows arrive. A reader that stops early releases the file.
// A node that is down is named at once.
func TestFileOfANodeIsReadInPages(t *testing.T) {
	t.Parallel()
	var all core.Snapshot
	for range 6000 {
		all.Users = append(all.Users, user(nodetest.Identity(t)))
	}
	n := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: all}).Nodes[0]
	for range 5 { // more often than a file is read at a time
		nodetest.Wait(t, nodetest.Convergence, func() error { // the other side hears of a stop a moment later
			for _, err := range n.PeerRows(t.Context(), "n1", core.TableUsers) {
				return err
			}
			return errors.New("no rows")
		})
	}
	var want, got []string
	for _, u := range all.Users {
		want = append(want, core.UserRow(u).Key)
	}
	nodetest.Wait(t, nodetest.Convergence, func() error {
		got = nil
		for r, err := range n.PeerRows(t.Context(), "n1", core.TableUsers) {
			if err != nil {
				return err
			}
			got = append(got, r.Key)
		}
		return nil
	})
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%d rows of %d came", len(got), len(want))
	}
	begun := time.Now()
	for _, err := range n.PeerRows(t.Context(), "n9", core.TableUsers) {
		if core.KindOf(err) != core.KindUnavailable {
			t.Errorf("a node that is not there: %v", err)
		}
	}
	if _, err := n.PeerProblems(t.Context(), "n9", 10); core.KindOf(err) != core.KindUnavailable || time.Since(begun) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	for _, err := range n.PeerRows(t.Context(), "n1", "nonsense") {
		if core.KindOf(err) != core.KindInvalid {
			t.Errorf("a table that there is not: %v", err)
		}
	}
}
