//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"os"
	"testing"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// programs are built once for all tests.
var programs nodetest.ProgramBuild

// seed is written once for all tests.
var seed sourceFiles

// TestMain runs the tests in a network of their own.
func TestMain(m *testing.M) {
	os.Exit(nodetest.RunIsolated(func() int {
		dir, err := os.MkdirTemp("", "unibus-nemesis-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		programs.Dir, seed.dir = dir, dir
		fmt.Println("Real processes under real faults: root, Debian's iproute2 and strace, about 2 GB in", os.TempDir(),
			"and about an hour of two cores. With -short moves have few rows.")
		return m.Run()
	}))
}

// users are n active ones, and the rows to seed a node with.
func users(t *testing.T, n int) ([]keys.Identity, core.Snapshot) {
	t.Helper()
	var ids []keys.Identity
	var s core.Snapshot
	for range n {
		id := nodetest.Identity(t)
		ids = append(ids, id)
		s.Users = append(s.Users, core.User{
			ID: core.UserID(id.Public()), Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1,
		})
	}
	return ids, s
}

// mustConnect lets a user in and out again.
func mustConnect(n *nodetest.Net, i int, id keys.Identity) error {
	nc, err := n.Connect(i, id)
	if err == nil {
		nc.Close()
	}
	return err
}
