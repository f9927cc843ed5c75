package cli

import (
	"syscall"
	"testing"
)

// TestDumpsAreForbidden reads back what the kernel was told.
func TestDumpsAreForbidden(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	forbidDumps()
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &now); err != nil || now.Cur != 0 || now.Max != 0 {
		t.Errorf("the limit is %+v, %v", now, err)
	}
	const get, set = 3, 4
	if dumpable, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, get, 0, 0); errno != 0 || dumpable != 0 {
		t.Errorf("dumpable is %d, %v", dumpable, errno)
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, set, 1, 0) // for the tests that follow
}
