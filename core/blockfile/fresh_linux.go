package blockfile

import (
	"os"
	"syscall"
)

// dropFromMemory has the kernel forget what it keeps of a file and has written already. Where it
// does not, the file is read from memory.
func dropFromMemory(f *os.File) {
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0)
}
