package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/tui"
	"unibus/tui/tuitest"
)

// floorProgram builds the least that Bubble Tea can do.
func floorProgram(b *testing.B) func() *exec.Cmd {
	b.Helper()
	out := filepath.Join(b.TempDir(), "floor")
	if text, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, "./testdata/floor").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, text)
	}
	return func() *exec.Cmd {
		cmd := exec.Command(out)
		cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8"}
		return cmd
	}
}

// showsWithin starts a command in a terminal of 120x40, and is how long its text takes.
func showsWithin(b *testing.B, cmd *exec.Cmd, text string) (time.Duration, *tuitest.PTY) {
	b.Helper()
	began := time.Now()
	pty := startPTY(b, cmd, 120, 40)
	if err := pty.WaitFor(text, ptyTimeout); err != nil {
		b.Fatal(err)
	}
	return time.Since(began), pty
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

func percentile99(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)*99/100].Microseconds()) / 1000
}

// deadServer is an address of this machine at which nothing listens.
func deadServer(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "nats://" + l.Addr().String()
}

// BenchmarkConsoleFirstFrame is the time from the start of the process to its first frame, with a node and
// without any.
func BenchmarkConsoleFirstFrame(b *testing.B) {
	node, floor, dead := startNode(b), floorProgram(b), deadServer(b)
	var with, without, least []time.Duration
	for b.Loop() {
		for _, c := range []struct {
			cmd  *exec.Cmd
			text string
			took *[]time.Duration
		}{
			{consoleCommand(b, node), "1 overview", &with},
			{consoleCommand(b, node, "--server", dead), "1 overview", &without},
			{floor(), "floor 0", &least},
		} {
			took, pty := showsWithin(b, c.cmd, c.text)
			*c.took = append(*c.took, took)
			pty.Close()
		}
	}
	b.ReportMetric(median(with), "ms")
	b.ReportMetric(median(without), "no-node-ms")
	b.ReportMetric(median(least), "floor-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkConsoleIdle measures a console without input, and how much it writes in a second.
func BenchmarkConsoleIdle(b *testing.B) {
	node, floor := startNode(b), floorProgram(b)
	_, ours := showsWithin(b, consoleCommand(b, node), "live from")
	_, least := showsWithin(b, floor(), "floor 0")
	const span = 20 * time.Second
	after := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-b.Context().Done():
		}
	}
	after(5 * time.Second) // the first answers are drawn
	for b.Loop() {
		cpu, floorCPU, written := cpuOf(b, ours.Process.Pid), cpuOf(b, least.Process.Pid), ours.Written()
		after(span)
		b.ReportMetric(100*(cpuOf(b, ours.Process.Pid)-cpu).Seconds()/span.Seconds(), "console-%")
		b.ReportMetric(100*(cpuOf(b, least.Process.Pid)-floorCPU).Seconds()/span.Seconds(), "floor-%")
		b.ReportMetric(float64(ours.Written()-written)/span.Seconds(), "bytes/s")
		b.ReportMetric(residentMiB(b, ours.Process.Pid), "console-MiB")
		b.ReportMetric(residentMiB(b, least.Process.Pid), "floor-MiB")
	}
	b.ReportMetric(0, "ns/op")
}

func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("only Linux says what another process uses: ", err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:])) // from field 3 on
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ
}

func residentMiB(b *testing.B, pid int) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skip(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(data))[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// BenchmarkConsoleKey is the time from a key to its frame: among a million users and 100,000 rooms, and in
// the least that Bubble Tea can do.
func BenchmarkConsoleKey(b *testing.B) {
	_, least := showsWithin(b, floorProgram(b)(), "floor 0")
	term := tuitest.StartTerminal(tui.Config{Client: tuitest.NewFakeClient(millionUsers()), Version: "test"}, 120, 40)
	b.Cleanup(func() { _ = term.Close() })
	press(b, term, "4", " of 1 000 000")
	var users, rooms, floor []time.Duration
	n := 0
	for b.Loop() {
		n++
		users = append(users, keyTime(b, term, "down", "up", n))
		began := time.Now()
		least.Press("x")
		if err := least.WaitFor(fmt.Sprintf("floor %d", n), ptyTimeout); err != nil {
			b.Fatal(err)
		}
		floor = append(floor, time.Since(began))
	}
	press(b, term, "5", " of 100 000")
	for i := range n {
		rooms = append(rooms, keyTime(b, term, "down", "up", i+1))
	}
	b.ReportMetric(percentile99(users), "users-p99-ms")
	b.ReportMetric(percentile99(rooms), "rooms-p99-ms")
	b.ReportMetric(percentile99(floor), "floor-p99-ms")
	b.ReportMetric(0, "ns/op")
}

func press(b *testing.B, term *tuitest.Terminal, key, text string) {
	b.Helper()
	term.Press(key)
	if err := term.WaitFor(text, time.Minute); err != nil {
		b.Fatal(err)
	}
}

// keyTime moves the cursor down and, every other time, up again, and is how long the new place takes.
func keyTime(b *testing.B, term *tuitest.Terminal, odd, even string, n int) time.Duration {
	b.Helper()
	key, place := odd, "2 of 1"
	if n%2 == 0 {
		key, place = even, "1 of 1"
	}
	began := time.Now()
	term.Press(key)
	if err := term.Wait(place, ptyTimeout, func(screen string) bool { return strings.Contains(screen, " "+place) }); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func millionUsers() tuitest.ClusterState {
	state := tuitest.Healthy()
	user, room := state.Users[0], state.Rooms[0]
	for i := len(state.Users); i < 1_000_000; i++ {
		user.ID = core.UserID(fmt.Sprintf("UZ%054d", i))
		state.Users = append(state.Users, user)
	}
	for i := len(state.Rooms); i < 100_000; i++ {
		room.ID = core.RoomID(fmt.Sprintf("room-%06d", i))
		state.Rooms = append(state.Rooms, room)
	}
	return state
}

// BenchmarkConsoleStatus is how long `status` takes, and what the nats CLI prints of JetStream.
func BenchmarkConsoleStatus(b *testing.B) {
	nats, err := exec.LookPath("nats")
	if err != nil {
		b.Skip("the nats CLI is not installed: go install github.com/nats-io/natscli/nats@v0.3.0")
	}
	seed, system := nodetest.SeedFile(b, "system")
	p := nodetest.StartProcesses(b, programs.Program(b, "unibusd"), nodetest.Config{Nodes: 3, Operators: []core.Operator{{Key: system.Public(), Role: core.OperatorSystem, Name: "system"}}})
	p.Client()
	var ours, theirs []time.Duration
	for b.Loop() {
		status := exec.Command(programs.Program(b, "unibus-tui"), "status", "--server", p.URLs()[0], "--identity", p.AdminSeedFile)
		status.Env = []string{"HOME=" + b.TempDir(), keys.KnownClustersEnv + "=" + os.DevNull}
		ours = append(ours, runTime(b, status, "3 of 3"))
		report := exec.Command(nats, "--server", p.URLs()[0], "--nkey", seed, "--inbox-prefix", "_INBOX."+system.Public(), "server", "report", "jetstream")
		report.Env = []string{"HOME=" + b.TempDir()}
		theirs = append(theirs, runTime(b, report, "RAFT Meta Group"))
	}
	b.ReportMetric(median(ours), "status-ms")
	b.ReportMetric(median(theirs), "nats-ms")
	b.ReportMetric(median(ours)/median(theirs), "ratio")
	b.ReportMetric(0, "ns/op")
}

// runTime is how long a command takes that prints a text.
func runTime(b *testing.B, cmd *exec.Cmd, prints string) time.Duration {
	b.Helper()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), prints) {
		b.Fatalf("%s does not print %q: %v: %s", cmd.Path, prints, err, out)
	}
	return time.Since(began)
}
