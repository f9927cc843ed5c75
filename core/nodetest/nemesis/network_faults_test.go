//go:build nemesis && linux

package nemesis

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
)

// checkReachable is nil if the node sees so many nodes, itself included.
func checkReachable(t *testing.T, n *nodetest.Net, i, want int) error {
	t.Helper()
	st, err := nodetest.Status(t.Context(), n.Client(i))
	if err != nil {
		return err
	}
	online := 0
	for _, node := range st.Nodes {
		if node.Online {
			online++
		}
	}
	if online != want {
		return fmt.Errorf("%s sees %d nodes, not %d", st.From, online, want)
	}
	return nil
}

// The tools of the other tests: a cut takes effect, on the right side, and heals.
func TestFaultsAreFelt(t *testing.T) {
	t.Parallel()
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	n.WaitServing(core.BackendKV)
	n.Isolate(0)
	for i, want := range []int{1, 2, 2} {
		nodetest.Wait(t, time.Minute, func() error { return checkReachable(t, n, i, want) })
	}
	n.Partition([]int{0, 1}, []int{2})
	for i, want := range []int{2, 2, 1} {
		nodetest.Wait(t, time.Minute, func() error { return checkReachable(t, n, i, want) })
	}
	n.DropOutgoing(0)
	for i, want := range []int{1, 2, 2} {
		nodetest.Wait(t, time.Minute, func() error { return checkReachable(t, n, i, want) })
	}
	n.Heal()
	for i := range n.Configs {
		nodetest.Wait(t, time.Minute, func() error { return checkReachable(t, n, i, 3) })
	}
	n.Kill(1)
	nodetest.Wait(t, time.Minute, func() error { return checkReachable(t, n, 0, 2) })
	n.Start(1)
	n.WaitServing(core.BackendKV)
}

// The disk becomes full for its node only, and is free again.
func TestDiskIsFullAndFree(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	_, rows := users(t, 10)
	n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{Nodes: 1, Seed: rows})
	d := n.Disk(0, size)
	if _, err := os.Stat(n.Configs[0].DB); err != nil {
		t.Errorf("what was in the data directory is not there any more: %v", err)
	}
	write := func(n int) error {
		return os.WriteFile(filepath.Join(d.Dir(), "probe"), make([]byte, n), 0o600)
	}
	d.Fill(64 << 10)
	if err := write(1 << 20); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing into a full disk: got %v, want ENOSPC", err)
	}
	d.Restore()
	if err := write(1 << 20); err != nil {
		t.Error(err)
	}
	if room := d.FreeBytes(); room > size || room < size/2 {
		t.Errorf("%d bytes are free of %d", room, size)
	}
}
