package nodetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Host is a machine as far as an installation sees one: a network of its own, and its own
// /etc, /usr/local/bin and /var/lib, in which commands run as root. It has no service manager:
// systemctl is a script that starts what the unit names, as its user.
type Host struct {
	Name    string
	Address string

	t    testing.TB
	ns   *namespace
	root string // its own directories
	work string // where commands run; all hosts share it, which stands for copying files
}

// privateDirs are what every Host has of its own.
func privateDirs() map[string]string {
	return map[string]string{"etc": "/etc", "bin": "/usr/local/bin", "lib": "/var/lib"}
}

// systemctl stands for systemd, which needs a machine. It knows what documents use.
const systemctl = `#!/bin/bash
unit=/etc/systemd/system/unibusd.service
stop() { [ -e /var/lib/pid ] && kill -TERM -"$(cat /var/lib/pid)" 2>/dev/null && while kill -0 -"$(cat /var/lib/pid)" 2>/dev/null; do sleep 0.05; done; rm -f /var/lib/pid; }
start() {
  user=$(sed -n 's/^User=//p' $unit) state=/var/lib/$(sed -n 's/^StateDirectory=//p' $unit)
  install -d -o "$user" -g "$user" -m "$(sed -n 's/^StateDirectoryMode=//p' $unit)" "$state"
  cd / && umask "$(sed -n 's/^UMask=//p' $unit)"
  timeout -k 5 900 setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all $(sed -n 's/^ExecStart=//p' $unit) >>/var/lib/log 2>&1 </dev/null &
  echo $! >/var/lib/pid
}
case "$1" in
enable|start) start ;;
restart) stop; start ;;
stop) stop ;;
*) echo "systemctl $1 is not known here" >&2; exit 1 ;;
esac
`

// NewHosts makes hosts that reach each other, and know each other by names that end in domain. The last
// name is of the machine from which the cluster is operated.
func NewHosts(t testing.TB, work, domain string, names ...string) []*Host {
	t.Helper()
	if err := requireIsolated(); err != nil {
		t.Fatal(err)
	}
	n := &Net{}
	bridge, subnet := newBridge(t)
	var hosts []*Host
	table := "127.0.0.1 localhost\n"
	for i, name := range names {
		n.hosts = append(n.hosts, fmt.Sprintf("%s.%d", subnet, i+1))
		n.namespaces = append(n.namespaces, newNamespace(t))
		n.attachNode(t, i, bridge)
		hosts = append(hosts, &Host{Name: name, Address: n.hosts[i], t: t, ns: n.namespaces[i], root: t.TempDir(), work: work})
		table += fmt.Sprintf("%s %s.%s\n", n.hosts[i], name, domain)
	}
	n.setReachable(t, func(int, int) bool { return true })
	for _, h := range hosts {
		h.furnish(table)
	}
	return hosts
}

func (h *Host) furnish(table string) {
	h.t.Helper()
	err := run("", "cp", "-a", "/etc", filepath.Join(h.root, "etc"))
	for _, file := range []string{"passwd", "shadow", "group", "gshadow"} { // this machine may be a node itself
		if err == nil {
			err = run("", "sed", "-i", "/^unibus:/d", filepath.Join(h.root, "etc", file))
		}
	}
	for _, dir := range []string{"bin", "lib"} {
		if err == nil {
			err = os.Mkdir(filepath.Join(h.root, dir), 0o755) //nolint:gosec // as /usr/local/bin is
		}
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(h.root, "etc/systemd/system"), 0o755) //nolint:gosec // as on every machine
	}
	_ = os.Remove(filepath.Join(h.root, "etc/hosts")) // it may be a mount or a link in a container
	if err == nil {
		err = os.WriteFile(filepath.Join(h.root, "etc/hosts"), []byte(table), 0o644) //nolint:gosec // as on every machine
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.root, "bin/systemctl"), []byte(systemctl), 0o755) //nolint:gosec // a program
	}
	if err != nil {
		h.t.Fatalf("the host %s: %v", h.Name, err)
	}
	h.t.Cleanup(h.end)
}

// end kills the service, if it runs.
func (h *Host) end() {
	if pid, err := os.ReadFile(filepath.Join(h.root, "lib/pid")); err == nil {
		_ = run("", "kill", "-KILL", "--", "-"+strings.TrimSpace(string(pid)))
	}
	if h.t.Failed() {
		h.t.Logf("%s wrote:\n%s", h.Name, h.Log())
	}
}

// Log is what the service has written.
func (h *Host) Log() string {
	data, err := os.ReadFile(filepath.Join(h.root, "lib/log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// CopyTo gives another host this one's directories, as a cloned machine has them.
func (h *Host) CopyTo(other *Host) {
	h.t.Helper()
	for dir := range privateDirs() {
		if err := run("", "cp", "-a", filepath.Join(h.root, dir)+"/.", filepath.Join(other.root, dir)); err != nil {
			h.t.Fatal(err)
		}
	}
	_ = os.Remove(filepath.Join(other.root, "lib/pid"))
	_ = os.Remove(filepath.Join(other.root, "lib/log"))
}

// Run runs shell commands on the host and returns what they print.
func (h *Host) Run(script string) (string, error) {
	var mounts strings.Builder
	for dir, at := range privateDirs() {
		fmt.Fprintf(&mounts, "mount --bind '%s' %s\n", filepath.Join(h.root, dir), at)
	}
	cmd := exec.Command("unshare", "--mount", "bash", "-e", "-c", mounts.String()+"cd \"$WORK\"\neval \"$SCRIPT\"")
	cmd.Env = append(os.Environ(), "SCRIPT="+script, "WORK="+h.work, "HOME="+h.root, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.ns.do(cmd.Start); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("on %s: %w\n%s\n%s%s", h.Name, err, script, out.String(), problems.String())
	}
	return out.String() + problems.String(), nil
}
