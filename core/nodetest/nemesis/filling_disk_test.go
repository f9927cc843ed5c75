//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestFullDiskIsForetold: a disk that other files fill is a finding while every write still
// works, on a node with its file alone and in a cluster, whatever JetStream's own limit says.
func TestFullDiskIsForetold(t *testing.T) {
	const size = 64 << 20
	for name, cfg := range map[string]nodetest.Config{
		"alone":   {Nodes: 1},
		"cluster": {Store: core.BackendKV},
	} {
		t.Run(name, func(t *testing.T) {
			if cfg.Nodes == 1 {
				_, cfg.Seed = users(t, 10)
			}
			n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), cfg)
			nodetest.MkdirAll(t, n.Configs[0].Data)
			d := n.Disk(0, size)
			n.StartAll()
			cl := n.Client(0)
			level := func(want cluster.Level) {
				t.Helper()
				nodetest.Wait(t, time.Minute, func() error {
					st, err := cl.Status(t.Context())
					if err != nil {
						return err
					}
					for _, f := range st.Judgment.Findings {
						if f.About == "node.n1" && strings.HasPrefix(f.Text, "The disk of n1 at ") {
							if f.Level == want && strings.Contains(f.Text, "free") {
								return nil
							}
							return fmt.Errorf("%s: %s", f.Level, f.Text)
						}
					}
					if want == cluster.Healthy {
						return nil
					}
					return fmt.Errorf("no finding about the disk: %+v", st.Judgment.Findings)
				})
			}
			n.WaitServing(map[bool]core.Backend{true: core.BackendSQLite, false: core.BackendKV}[cfg.Nodes == 1])
			level(cluster.Healthy)
			for i, step := range []struct {
				free int64
				want cluster.Level
			}{{5 << 20, cluster.Degraded}, {3 << 19, cluster.Critical}} {
				more := filepath.Join(d.Dir(), fmt.Sprintf("other%d", i)) // and not d.Fill, which makes the disk smaller
				if err := os.WriteFile(more, make([]byte, d.FreeBytes()-step.free), 0o600); err != nil {
					t.Fatal(err)
				}
				level(step.want)
				if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public())}); err != nil {
					t.Errorf("a write while there is space: %v", err)
				}
			}
			for i := range 2 {
				if err := os.Remove(filepath.Join(d.Dir(), fmt.Sprintf("other%d", i))); err != nil {
					t.Fatal(err)
				}
			}
			level(cluster.Healthy)
		})
	}
}

// TestReadOnlyDiskIsFound: a file system that the kernel has made read-only, here that of the backups.
func TestReadOnlyDiskIsFound(t *testing.T) {
	n := nodetest.PrepareNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	dir := filepath.Join(n.Configs[0].Data, "backups")
	nodetest.MkdirAll(t, dir)
	mount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "mode=0700"); err != nil {
			t.Fatal(err)
		}
	}
	mount(0)
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	n.StartAll()
	n.WaitServing(core.BackendKV)
	if err := checkSilentOn(t, n, 1, "read-only"); err != nil {
		t.Fatal(err)
	}
	mount(syscall.MS_REMOUNT | syscall.MS_RDONLY)
	for i := range n.Configs {
		nodetest.Wait(t, time.Minute, func() error { return checkSays(t, n, i, "The disk of n1 at "+dir+" is mounted read-only") })
	}
	mount(syscall.MS_REMOUNT)
	nodetest.Wait(t, time.Minute, func() error { return checkSilentOn(t, n, 1, "read-only") })
}
