package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes cmd a child in a process group of its own that dies with the
// thread that starts it. It is killed rather than asked, so that a hanging node
// dies too.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// outliveParent makes cmd a child in a session of its own, which outlives this
// process.
func outliveParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
