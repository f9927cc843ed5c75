package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"unibus/core/nodetest"
)

// unit is the sample unit of the service manager: its directives in order, by name.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for line := range strings.Lines(read(t, filepath.Join("..", "..", "docs", "unibusd.service"))) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			found[name] = append(found[name], value)
		}
	}
	return found
}

// TestUnitKeepsItsDirectives holds what the sandbox consists of, also where systemd is not there.
func TestUnitKeepsItsDirectives(t *testing.T) {
	t.Parallel()
	got := unit(t)
	for name, want := range map[string]string{
		"Type": "notify", "LimitCORE": "0", "UMask": "0077", "StateDirectoryMode": "0700",
		"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "PrivateUsers": "yes", "RestrictSUIDSGID": "yes",
		"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateMounts": "yes",
		"ProtectKernelTunables": "yes", "ProtectKernelModules": "yes", "ProtectKernelLogs": "yes", "ProtectControlGroups": "yes",
		"ProtectClock": "yes", "ProtectHostname": "yes", "ProtectProc": "invisible", "RestrictRealtime": "yes", "RestrictNamespaces": "yes",
		"LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native",
		"SystemCallFilter": "@system-service ~@privileged @resources", "SystemCallErrorNumber": "EPERM",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
	} {
		if values, ok := got[name]; !ok || strings.Join(values, " ") != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}
	if user := got["User"]; !slices.Equal(user, []string{"unibus"}) {
		t.Errorf("User is %q", user)
	}
}

// mostExposure is what systemd may say of the unit at the most; 10 is a service without any protection.
const mostExposure = 2.5

// TestUnitExposure asks systemd itself.
func TestUnitExposure(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed here (Debian: systemd); TestUnitKeepsItsDirectives holds the directives")
	}
	out, err := exec.Command(program, "security", "--no-pager", "--offline=true", filepath.Join("..", "..", "docs", "unibusd.service")).CombinedOutput()
	m := regexp.MustCompile(`exposure level[^:]*: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Skipf("this systemd-analyze judges no file: %v, %.200s", err, out)
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || level > mostExposure {
		t.Errorf("the exposure is %s, want at most %v:\n%s", m[1], mostExposure, out)
	}
}

// TestUnitReloads: the unit's reload command makes a node read its operators again.
func TestUnitReloads(t *testing.T) {
	t.Parallel()
	reload := unit(t)["ExecReload"]
	if len(reload) != 1 {
		t.Fatalf("ExecReload is %q", reload)
	}
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1})
	nodetest.Wait(t, 20*time.Second, func() error {
		_, err := p.Client(0).Status(t.Context())
		return err
	})
	command := strings.ReplaceAll(reload[0], "$MAINPID", strconv.Itoa(p.PID(0)))
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v, %s", command, err, out)
	}
	nodetest.Wait(t, 10*time.Second, func() error {
		if log := p.Log(0); !strings.Contains(log, "the configuration was read again") {
			return fmt.Errorf("the log is\n%s", log)
		}
		return nil
	})
}

// TestNodeLeavesNoCoreDump: a running node has told the kernel so.
func TestNodeLeavesNoCoreDump(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1})
	core := regexp.MustCompile(`(?m)^Max core file size +0 +0 `)
	nodetest.Wait(t, 20*time.Second, func() error {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.PID(0)))
		if err == nil && !core.Match(limits) {
			err = fmt.Errorf("the limits are\n%s", limits)
		}
		return err
	})
}
