//go:build nemesis && linux

package nemesis

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
)

// tracedWrites is how many users are added under strace.
const tracedWrites = 20

// TestAcknowledgedWriteIsSynced traces the disk writes of three nodes. Before a
// write is acknowledged, at least two nodes have written it to a log of raft and
// have synced that file. nats-server syncs the stream's own blocks later.
func TestAcknowledgedWriteIsSynced(t *testing.T) {
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	n.WaitServing(core.BackendKV)
	cl := n.Client(0)
	traces := make([]*diskTrace, len(n.Configs))
	for i := range n.Configs {
		traces[i] = traceDisk(t, n.PID(i))
	}
	acknowledged := map[core.UserID]time.Time{}
	for range tracedWrites {
		id := core.UserID(nodetest.Identity(t).Public())
		if _, err := cl.UserAdd(t.Context(), core.User{ID: id, Role: core.RoleMember}); err != nil {
			t.Fatal(err)
		}
		acknowledged[id] = time.Now()
	}
	for _, trace := range traces {
		trace.stop()
	}
	for id, at := range acknowledged {
		var synced []string
		for i, trace := range traces {
			if when, ok := trace.synced(t, string(id)); ok && when.Before(at) {
				synced = append(synced, n.Configs[i].Name)
			}
		}
		if len(synced) < 2 {
			t.Errorf("%s was acknowledged when raft's log was synced on %v alone", id, synced)
		}
	}
}

// diskTrace is a running strace of one process, with one file for each thread.
type diskTrace struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string
}

// traceDisk traces what a process writes and syncs, and returns once it is attached.
func traceDisk(t *testing.T, pid int) *diskTrace {
	t.Helper()
	d := &diskTrace{t: t, dir: t.TempDir()}
	d.cmd = exec.Command("strace", "-ff", "-ttt", "-T", "-y", "-s", "4096", "-e", "trace=write,pwrite64,fsync,fdatasync",
		"-o", filepath.Join(d.dir, "thread"), "-p", strconv.Itoa(pid))
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("strace, of Debian's package strace: %v", err)
	}
	t.Cleanup(d.stop)
	nodetest.Wait(t, 10*time.Second, func() error { return tracedThreads(pid) })
	return d
}

// tracedThreads returns an error while a thread of the process has no tracer.
func tracedThreads(pid int) error {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("the threads of %d: %v", pid, err)
	}
	for _, file := range files {
		if status, err := os.ReadFile(file); err == nil && strings.Contains(string(status), "TracerPid:\t0\n") {
			return fmt.Errorf("%s has no tracer", file)
		}
	}
	return nil
}

// stop detaches. A second call does nothing.
func (d *diskTrace) stop() {
	if d.cmd.ProcessState != nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait() // strace ends with the signal that it got
}

// tracedCall is a line of strace: time, name, descriptor, path and the time that it took.
var tracedCall = regexp.MustCompile(`^(\d+)\.(\d+) (\w+)\(\d+<([^>]*)>.* = \d+ <([\d.]+)>$`)

// synced is the first moment at which a file of raft's log with the text in it was
// synced after it was written. All threads' calls are put in one order by time.
func (d *diskTrace) synced(t *testing.T, text string) (first time.Time, ok bool) {
	t.Helper()
	written, syncs := map[string]time.Time{}, map[string][][2]time.Time{}
	files, err := filepath.Glob(filepath.Join(d.dir, "thread.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no trace: %v", err)
	}
	for _, file := range files {
		d.read(t, file, func(name, path, line string, began, ended time.Time) {
			switch {
			case !strings.Contains(path, "/_js_/") || !strings.HasSuffix(path, ".blk"):
			case strings.HasSuffix(name, "sync"):
				syncs[path] = append(syncs[path], [2]time.Time{began, ended})
			case strings.Contains(line, text) && (written[path].IsZero() || ended.Before(written[path])):
				written[path] = ended
			}
		})
	}
	for path, at := range written {
		for _, s := range syncs[path] {
			if !s[0].Before(at) && (!ok || s[1].Before(first)) {
				first, ok = s[1], true
			}
		}
	}
	return first, ok
}

func (d *diskTrace) read(t *testing.T, file string, call func(name, path, line string, began, ended time.Time)) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := tracedCall.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		sec, _ := strconv.ParseInt(m[1], 10, 64)
		usec, _ := strconv.ParseInt(m[2], 10, 64)
		took, _ := strconv.ParseFloat(m[5], 64)
		began := time.Unix(sec, usec*1000)
		call(m[3], m[4], lines.Text(), began, began.Add(time.Duration(took*float64(time.Second))))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}
