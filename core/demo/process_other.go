//go:build !linux

package demo

import (
	"os/exec"
	"syscall"
)

// tie makes cmd a child in a process group of its own. Elsewhere than on Linux
// nothing ends it when this process is killed.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// untie makes cmd a child in a session of its own, which outlives this process.
func untie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
