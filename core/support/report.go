package support

import "unibus/core"

// Report is what a node says of itself for a bundle, beside what every viewer may see.
type Report struct {
	Node    string      `json:"node"`
	Now     core.Millis `json:"now"` // by its clock
	Process Process     `json:"process"`
	Modules []Module    `json:"modules,omitempty"` // the libraries that it is built with
	Disks   []Disk      `json:"disks,omitempty"`
	Streams []string    `json:"streams,omitempty"` // of which it has a directory on disk, as buckets are named

	Config map[string]any `json:"config"` // the settings in force, by flag
	Log    Log            `json:"log"`
}

// Process is what a node uses of its machine.
type Process struct {
	Version    string      `json:"version"`
	Go         string      `json:"go"`
	OS         string      `json:"os"`
	Arch       string      `json:"arch"`
	CPUs       int         `json:"cpus"`
	Started    core.Millis `json:"started"`
	Goroutines int         `json:"goroutines"`
	Heap       uint64      `json:"heap"`         // bytes that are in use
	HeapCount  uint64      `json:"heap_objects"` // objects that are in use
	Taken      uint64      `json:"taken"`        // bytes that were taken from the system
	Resident   uint64      `json:"resident"`     // bytes in memory; 0: not known
	GCs        uint32      `json:"gcs"`          // garbage collections since the start
	OpenFiles  int         `json:"open_files"`   // 0: not known
}

// Module is a library with its version.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Disk is a file system that a node writes to.
type Disk struct {
	Path  string `json:"path"`
	Free  int64  `json:"free"`
	Total int64  `json:"total"`
}

// Log is the end of a node's log, as it is in its memory.
type Log struct {
	Since   core.Millis `json:"since"`   // the lines before were dropped, or there were none
	Dropped int         `json:"dropped"` // lines that did not fit
	Clients int         `json:"clients"` // lines of the embedded server about single clients: they stay out
	Lines   []Line      `json:"lines"`   // the oldest first
}

// Line is one line of a log.
type Line struct {
	At    core.Millis       `json:"at"`
	Level string            `json:"level"`
	Text  string            `json:"text"`
	Attrs map[string]string `json:"attrs,omitempty"`
}
