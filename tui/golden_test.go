package tui_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/tuitest"
)

var update = flag.Bool("update", false, "write the goldens anew")

var sizes = [][2]int{{60, 20}, {80, 24}, {120, 40}, {200, 60}}

var goldenScreens = []struct {
	name  string
	world func() tuitest.ClusterState
	keys  []string
}{
	{"overview-sqlite", tuitest.OnSQLite, nil},
	{"overview-healthy", tuitest.Healthy, nil},
	{"overview-degraded", tuitest.Degraded, nil},
	{"connecting", tuitest.Unreachable, nil},
	{"overview-no-quorum", tuitest.NoQuorum, nil},
	{"overview-backups", tuitest.BackedUp, nil},
	{"overview-backup-failed", tuitest.BackupFailed, nil},
	{"ask-backup-now", tuitest.BackedUp, []string{"b"}},
	{"nodes", tuitest.Degraded, []string{"2"}},
	{"overview-full-disk", tuitest.FullDisk, nil},
	{"nodes-full-disk", tuitest.FullDisk, []string{"2"}},
	{"node-full-disk", tuitest.FullDisk, []string{"2", "end", "enter"}},
	{"node", tuitest.Healthy, []string{"enter"}},
	{"node-down", tuitest.Degraded, []string{"2", "end", "enter"}},
	{"findings", tuitest.Degraded, []string{"f"}},
	{"migrate-several", tuitest.SeveralFiles, []string{"6"}},
	{"ask-start-several", tuitest.SeveralFiles, []string{"6", "b"}},
	{"ask-check-several", tuitest.SeveralFiles, []string{"6", "D"}},
	{"ask-revoke-long-name", tuitest.Healthy, []string{"4", "down", "down", "down", "r"}},
	{"buckets", tuitest.Degraded, []string{"3"}},
	{"bucket", tuitest.NoQuorum, []string{"3", "down", "enter"}},
	{"users", tuitest.Healthy, []string{"4", "down", "m", "m"}},
	{"user", tuitest.Healthy, []string{"4", "down", "enter"}},
	{"rooms", tuitest.Healthy, []string{"5"}},
	{"room", tuitest.Healthy, []string{"5", "down", "enter"}},
	{"room-rekey", tuitest.Healthy, []string{"5", "down", "down", "down", "enter"}},
	{"room-plain", tuitest.Healthy, []string{"5", "enter"}},
	{"room-archived", tuitest.Healthy, []string{"5", "/", "room-09", "enter", "enter"}},
	{"room-nobody-online", tuitest.Healthy, []string{"5", "/", "room-11", "enter", "enter"}},
	{"rooms-sorted-by-keys", tuitest.Healthy, []string{"5", "s", "s", "home"}},
	{"overview-rekey-required", tuitest.RekeyRequired, nil},
	{"migrate-sqlite", tuitest.OnSQLite, []string{"6"}},
	{"migrate-copy", tuitest.Copying, []string{"6"}},
	{"migrate-verified", tuitest.Verified, []string{"6"}},
	{"migrate-replica-differs", tuitest.ReplicaDiffers, []string{"6"}},
	{"migrate-soak", tuitest.AfterCutover, []string{"6"}},
	{"migrate-paused", tuitest.CopyPaused, []string{"6"}},
	{"migrate-fence", tuitest.Fencing, []string{"6"}},
	{"migrate-cutover", tuitest.CuttingOver, []string{"6"}},
	{"migrate-rollback", tuitest.RollingBack, []string{"6"}},
	{"migrate-rolledback", tuitest.RolledBack, []string{"6"}},
	{"migrate-aborted", tuitest.Aborted, []string{"6"}},
	{"migrate-interrupted", tuitest.Interrupted, []string{"6"}},
	{"migrate-node-down", tuitest.MigrationNodeDown, []string{"6"}},
	{"migrate-problems", tuitest.PreflightFailed, []string{"6"}},
	{"migrate-divergence", tuitest.FilesDiffer, []string{"6"}},
	{"migrate-leftovers", tuitest.Leftovers, []string{"6"}},
	{"migrate-dry-run", tuitest.DryRun, []string{"6"}},
	{"migrate-viewer", tuitest.CopyingAsViewer, []string{"6"}},
	{"events", tuitest.Degraded, []string{"7"}},
	{"incident", tuitest.Healthy, []string{"7", "down", "down", "enter"}},
	{"rollout-safe", tuitest.SoftMode, []string{"8"}},
	{"rollout-unsafe", tuitest.UnsafeToEnforce, []string{"8"}},
	{"rollout-client", tuitest.UnsafeToEnforce, []string{"8", "down", "enter"}},
	{"rollout-node-down", tuitest.Degraded, []string{"8"}},
	{"audit", tuitest.Healthy, []string{"9"}},
	{"audit-record", tuitest.Healthy, []string{"9", "down", "down", "enter"}},
	{"guide-restart", tuitest.Healthy, []string{":", "guide restart", "enter"}},
	{"guide-quorum-lost", tuitest.NoQuorum, []string{":", "guide quorum-lost", "enter"}},
	{"guide-disk-full", tuitest.FullDisk, []string{"f", "enter"}},
	{"guide-unsafe", tuitest.NoQuorum, []string{":", "guide disk-wiped n3", "enter"}},
	{"guide-not-applicable", tuitest.Healthy, []string{":", "guide disk-wiped n9", "enter"}},
	{"guides", tuitest.Healthy, []string{":", "guide", "enter"}},
	{"help", tuitest.Healthy, []string{"?"}},
	{"commands", tuitest.Healthy, []string{":", "user", "down", "down"}},
	{"ask-start", tuitest.FilesDiffer, []string{"6", "b"}},
	{"ask-limit", tuitest.CopyPaused, []string{"6", "L"}},
	{"ask-abort", tuitest.Copying, []string{"6", "A"}},
	{"ask-cutover", tuitest.Verified, []string{"6", "X"}},
	{"ask-rollback", tuitest.AfterCutover, []string{"6", "U"}},
	{"ask-rekey", tuitest.Healthy, []string{"5", "down", "down", "down", "enter", "r"}},
	{"ask-finish", tuitest.AfterCutover, []string{"6", "F"}},
}

const flags = "--server tls://127.0.0.1:4222 --identity ana.nk --tls-ca ca.pem"

func newConfig(state tuitest.ClusterState) (tui.Config, *tuitest.FakeClient) {
	f := tuitest.NewFakeClient(state)
	return tui.Config{Client: f, Flags: flags, Version: "test"}, f
}

func TestScreensMatchGoldens(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for _, p := range goldenScreens {
			name := fmt.Sprintf("%dx%d/%s", size[0], size[1], p.name)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cfg, _ := newConfig(p.world())
				h := tuitest.NewHarness(cfg, size[0], size[1])
				h.Press(p.keys...)
				got := h.Screen()
				assertFits(t, got, size[0], size[1])
				assertGolden(t, filepath.Join("testdata", name+".txt"), got)
			})
		}
	}
}

func assertFits(t *testing.T, screen string, w, h int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
	if len(lines) != h {
		t.Errorf("%d lines, want %d", len(lines), h)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > w {
			t.Errorf("line %d has %d cells, want at most %d: %q", i, n, w, l)
		}
	}
}

func assertGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./tui -update writes it)", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-golden +now):\n%s", file, d)
	}
}

func TestASCIIModeDrawsOnlyASCII(t *testing.T) {
	t.Parallel()
	for _, p := range goldenScreens {
		state := p.world()
		for i := range state.Users { // users choose names freely
			n := fmt.Sprintf("user-%d", i)
			state.Users[i].Name = &n
		}
		for _, ms := range state.Members {
			for i := range ms {
				ms[i].Name = nil
			}
		}
		for _, k := range state.Keys {
			for _, ps := range [][]admin.RoomPerson{k.WithoutKey, k.StillKnow, k.CanRekey} {
				for i := range ps {
					n := fmt.Sprintf("person-%d", i)
					ps[i].Name = &n
				}
			}
		}
		for i := range state.Events {
			state.Events[i].Text = strings.ReplaceAll(state.Events[i].Text, "…", "...")
		}
		for i := range state.Audit {
			state.Audit[i].Text = strings.ReplaceAll(state.Audit[i].Text, "…", "...")
		}
		cfg, _ := newConfig(state)
		cfg.ASCII = true
		h := tuitest.NewHarness(cfg, 120, 40)
		h.Press(p.keys...)
		for _, l := range strings.Split(h.Screen(), "\n") {
			if strings.ContainsFunc(l, func(r rune) bool { return r > 126 }) {
				t.Errorf("%s: %q", p.name, l)
			}
		}
	}
}

func TestEverySizeFits(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short")
	}
	for _, size := range [][2]int{{1, 1}, {10, 3}, {79, 24}, {80, 23}, {81, 25}, {97, 31}} {
		for _, p := range goldenScreens {
			cfg, _ := newConfig(p.world())
			h := tuitest.NewHarness(cfg, size[0], size[1])
			h.Press(p.keys...)
			assertFits(t, h.Screen(), size[0], size[1])
		}
	}
}
