package cli

import "syscall"

const prSetDumpable = 4

// forbidDumps keeps the memory of this process, which holds keys, out of core
// dumps. The limit alone is not enough: the kernel ignores it where dumps go to a
// program. The price is that only root can attach a debugger. A failure is not an
// error: a sandbox may forbid the calls, and has a limit of its own then.
func forbidDumps() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
}
