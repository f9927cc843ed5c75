package nodetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/config"
	"unibus/core/keys"
)

// Processes is a cluster of child processes of the real binary, without TLS. Call
// its methods from the test's own goroutine unless they say otherwise.
type Processes struct {
	Configs       []config.Node
	Admin         keys.Identity
	AdminSeedFile string // the file of Admin's seed, for commands
	Viewer        keys.Identity

	t            testing.TB
	binary       string
	env          []string
	startCommand func(i int, cmd *exec.Cmd) error
	procs        []*exec.Cmd
	exits        []chan struct{}
}

// StartProcesses starts the nodes as children that end with the test, without
// waiting for them.
func StartProcesses(t testing.TB, binary string, cfg Config) *Processes {
	t.Helper()
	SkipShort(t)
	p := PrepareProcesses(t, binary, cfg)
	p.StartAll()
	return p
}

// PrepareProcesses prepares everything and starts nothing.
func PrepareProcesses(t testing.TB, binary string, cfg Config) *Processes {
	t.Helper()
	c := prepareCluster(t, cfg)
	p := &Processes{
		Configs: c.Configs, Admin: c.Admin, AdminSeedFile: c.AdminSeedFile, Viewer: c.Viewer, t: t, binary: binary, env: cfg.Env,
		startCommand: func(_ int, cmd *exec.Cmd) error { return cmd.Start() },
		procs:        make([]*exec.Cmd, len(c.Configs)), exits: make([]chan struct{}, len(c.Configs)),
	}
	for i := range p.Configs {
		p.writeConfig(i)
	}
	return p
}

// StartAll starts every node; all of them end with the test.
func (p *Processes) StartAll() {
	p.t.Helper()
	p.t.Cleanup(p.stop)
	for i := range p.Configs {
		p.Start(i)
	}
}

func (p *Processes) writeConfig(i int) {
	p.t.Helper()
	MkdirAll(p.t, p.Configs[i].Data)
	WriteConfig(p.t, p.configFile(i), p.Configs[i], "")
}

func (p *Processes) configFile(i int) string { return p.Configs[i].Data + ".toml" }

// logFile is the log of node i.
func (p *Processes) logFile(i int) string { return p.Configs[i].Data + ".log" }

// Start starts node i (again).
func (p *Processes) Start(i int) {
	p.t.Helper()
	log, err := os.OpenFile(p.logFile(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.binary, "serve", "--config", p.configFile(i))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir, cmd.Env = filepath.Dir(p.Configs[i].Data), append(os.Environ(), p.env...)
	if err := p.startCommand(i, cmd); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	p.procs[i], p.exits[i] = cmd, exited
}

// SetBinary has nodes that start from now on run another binary.
func (p *Processes) SetBinary(path string) { p.binary = path }

// Signal sends a signal to node i.
func (p *Processes) Signal(i int, s syscall.Signal) {
	p.t.Helper()
	if err := p.procs[i].Process.Signal(s); err != nil {
		p.t.Fatalf("signalling %s: %v", p.Configs[i].Name, err)
	}
}

// Kill kills node i at once, as a power cut would.
func (p *Processes) Kill(i int) {
	p.t.Helper()
	p.Signal(i, syscall.SIGKILL)
	<-p.exits[i]
}

// Stop asks node i to stop and waits for it.
func (p *Processes) Stop(i int) {
	p.t.Helper()
	p.Signal(i, syscall.SIGTERM)
	select {
	case <-p.exits[i]:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s does not stop:\n%s", p.Configs[i].Name, p.Log(i))
	}
}

// PID is the process id of node i.
func (p *Processes) PID(i int) int { return p.procs[i].Process.Pid }

// Log is what node i has written so far.
func (p *Processes) Log(i int) string {
	data, err := os.ReadFile(p.logFile(i))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (p *Processes) stop() {
	for i, cmd := range p.procs {
		if cmd == nil {
			continue // the test failed before this one was started
		}
		_ = cmd.Process.Signal(syscall.SIGCONT) // one that a test paused
		_ = cmd.Process.Kill()
		<-p.exits[i]
	}
	if p.t.Failed() {
		for i := range p.procs {
			p.t.Logf("%s wrote:\n%s", p.Configs[i].Name, p.Log(i))
		}
	}
}

// URLs are the addresses of the named nodes, or of all.
func (p *Processes) URLs(nodes ...int) []string {
	var out []string
	for i, n := range p.Configs {
		if len(nodes) == 0 || contains(nodes, i) {
			out = append(out, "nats://"+n.Listen)
		}
	}
	return out
}

func contains(list []int, v int) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// Client connects to the named nodes, or to all, and waits until one listens.
func (p *Processes) Client(nodes ...int) *admin.Client {
	p.t.Helper()
	cl := admin.NewClient(admin.ClientConfig{Servers: p.URLs(nodes...), Identity: p.Admin, Name: p.t.Name(), Connect: 30 * time.Second})
	if err := cl.Open(p.t.Context()); err != nil {
		p.t.Fatalf("connecting: %v", err)
	}
	p.t.Cleanup(cl.Close)
	return cl
}

// Connect tries once to connect to node i as a user of the bus. Any goroutine may
// call it.
func (p *Processes) Connect(i int, as keys.Identity, more ...nats.Option) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Nkey(as.Public(), as.SignNonce), nats.CustomInboxPrefix("_INBOX." + as.Public()),
		nats.NoReconnect(), nats.Timeout(5 * time.Second),
	}
	return nats.Connect(p.URLs(i)[0], append(options, more...)...)
}

// Status is the status that a node reports.
func Status(ctx context.Context, cl *admin.Client) (admin.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return cl.Status(ctx)
}

// CheckReplicated returns nil once all five buckets have this many replicas and
// each is current.
func CheckReplicated(st admin.Status, replicas int) error {
	if len(st.Buckets) != len(core.Tables()) {
		return fmt.Errorf("%d buckets", len(st.Buckets))
	}
	for _, b := range st.Buckets {
		if len(b.Replicas) != replicas || b.Leader == "" {
			return fmt.Errorf("%s has %d replicas, leader %q", b.Name, len(b.Replicas), b.Leader)
		}
		for _, r := range b.Replicas {
			if r.State != "current" {
				return fmt.Errorf("%s on %s is %s", b.Name, r.Node, r.State)
			}
		}
	}
	return nil
}

// CheckHealthy returns nil once the connected node's verdict is healthy or, where the
// configuration of tests allows no better, has nothing but findings about it.
func CheckHealthy(cl *admin.Client) error {
	st, err := cl.Status(context.Background())
	if err != nil {
		return err
	}
	for _, f := range st.Judgment.Findings {
		if f.Level != "note" && f.About != "config" {
			return fmt.Errorf("%s: %s", f.About, f.Text)
		}
	}
	return nil
}

// Join starts a node of a new name, whose routes lead to the nodes that are there, and
// returns its index. The others' configurations do not name it.
func (p *Processes) Join(name string) int {
	p.t.Helper()
	n := p.Configs[0]
	n.Name, n.Data = name, filepath.Join(filepath.Dir(n.Data), name)
	n.DB = filepath.Join(n.Data, "unibus.db")
	ports := Ports(p.t, 2)
	n.Listen, n.ClusterListen = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	n.Routes, n.Nodes = []string{n.ClusterListen}, []string{name}
	for _, other := range p.Configs {
		n.Routes, n.Nodes = append(n.Routes, other.ClusterListen), append(n.Nodes, other.Name)
	}
	p.Configs, p.procs, p.exits = append(p.Configs, n), append(p.procs, nil), append(p.exits, nil)
	i := len(p.Configs) - 1
	p.writeConfig(i)
	p.Start(i)
	return i
}
