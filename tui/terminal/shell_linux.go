package terminal

import (
	"fmt"
	"os"
	"strings"
)

// shellWaits is true if an ancestor in this session leads another process group. Without one the
// process group is orphaned (setpgid(2)), and nothing could continue it.
func shellWaits() bool {
	_, group, session := relations(os.Getpid())
	for pid := os.Getppid(); pid > 0; {
		parent, g, s := relations(pid)
		if s != session {
			return false
		}
		if g != group {
			return true
		}
		pid = parent
	}
	return false
}

// relations reads a process's parent, group and session; zeros if it is gone.
func relations(pid int) (parent, group, session int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	fields := string(data[strings.LastIndexByte(string(data), ')')+1:]) // a name may hold blanks and brackets
	var state string
	_, _ = fmt.Sscan(fields, &state, &parent, &group, &session) // zeros if the kernel writes another form
	return parent, group, session
}
