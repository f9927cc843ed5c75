//go:build !linux

package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes cmd a child in a process group of its own. Elsewhere than on Linux
// nothing ends it when this process is killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// outliveParent makes cmd a child in a session of its own, which outlives this process.
func outliveParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
