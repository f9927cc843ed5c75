package cluster

import (
	"fmt"

	"unibus/core"
)

// FileFault is a file that a node cannot use as it is now. The node goes on with what it
// read last.
type FileFault struct {
	File   string      `json:"file"`
	Reason string      `json:"reason"`
	Next   string      `json:"next,omitempty"` // what to do about it there; "" where the reason says nothing
	Since  core.Millis `json:"since"`
}

// fileFaults finds files that would keep a node from starting again.
func fileFaults(infos []Info) []Finding {
	var fs []Finding
	for _, i := range infos {
		for _, f := range i.FileFaults {
			next := fmt.Sprintf("copy %s to %s again, whole; the node reads it within 10 seconds", f.File, i.Name)
			if f.Next != "" {
				next = fmt.Sprintf("on %s, which reads it within 10 seconds, %s", i.Name, f.Next)
			}
			fs = append(fs, Finding{
				Degraded, "node." + i.Name,
				fmt.Sprintf("%s cannot use a file that has changed: %s. It goes on with what it read last, and would not start again.", i.Name, f.Reason),
				next,
			})
		}
	}
	return fs
}
