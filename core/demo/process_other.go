//go:build !linux

package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes cmd a child in a process group of its own. Only on Linux
// does it end when this process is killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// outliveParent makes cmd a child in a session of its own, which outlives this
// process.
func outliveParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
