package kv

import (
	"syscall"
	"time"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME of linux/time.h.
const clockBoottime = 7

// sinceBoot goes on while the machine sleeps. Asked of the kernel directly: the
// package sees the standard library and nats.go alone.
func sinceBoot() time.Duration {
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0 // a kernel without it: the monotonic clock alone counts
	}
	return time.Duration(ts.Nano())
}
