package terminal

import "syscall"

// discardOutput drops what was written to the terminal and not read. The kernel does not wake a
// write that waits for the space, so output is stopped and started again. A failure is not an
// error: the write after it is bounded.
func discardOutput(fd uintptr) {
	const (
		tcxonc, tcooff, tcoon = 0x540A, 0, 1
		tcflsh, tcoflush      = 0x540B, 1
	)
	for _, call := range [][2]uintptr{{tcflsh, tcoflush}, {tcxonc, tcooff}, {tcxonc, tcoon}} {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, call[0], call[1])
	}
}
