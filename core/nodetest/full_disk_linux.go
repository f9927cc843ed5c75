package nodetest

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a file system of a given size that holds one node's data directory. It
// is in memory and only the test's processes see it.
type Disk struct {
	t    testing.TB
	dir  string
	size int64 // bytes
}

// Disk moves the data directory of node i to a file system of size bytes. The node
// must not be running. The file system is removed with the test.
func (n *Net) Disk(i int, size int64) *Disk {
	n.t.Helper()
	d := &Disk{t: n.t, dir: n.Configs[i].Data, size: size}
	staging := filepath.Join(n.t.TempDir(), "disk")
	MkdirAll(n.t, staging)
	if err := syscall.Mount("tmpfs", staging, "tmpfs", 0, fmt.Sprintf("mode=0700,size=%d", size)); err != nil {
		n.t.Fatalf("a file system of %d bytes: %v", size, err)
	}
	err := run("", "cp", "-a", d.dir+"/.", staging)
	if err == nil {
		err = syscall.Mount(staging, d.dir, "", syscall.MS_MOVE, "")
	}
	if err != nil {
		_ = syscall.Unmount(staging, syscall.MNT_DETACH)
		n.t.Fatalf("the data of %s on a file system of its own: %v", n.Configs[i].Name, err)
	}
	n.t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

// Dir is the node's data directory.
func (d *Disk) Dir() string { return d.dir }

// Fill leaves free bytes on the disk, or slightly more. Writes beyond that fail
// with ENOSPC.
func (d *Disk) Fill(free int64) {
	d.t.Helper()
	const tries = 100 // a node that writes at this moment may have passed the mark
	err := errors.New("not tried")
	for range tries {
		used := d.used()
		if err = d.resize(used + free); err == nil {
			return
		}
	}
	d.t.Fatalf("filling %s: %v", d.dir, err)
}

// Restore gives the disk its first size again.
func (d *Disk) Restore() {
	d.t.Helper()
	if err := d.resize(d.size); err != nil {
		d.t.Fatalf("freeing %s: %v", d.dir, err)
	}
}

// FreeBytes is how many bytes are free on the disk.
func (d *Disk) FreeBytes() int64 {
	d.t.Helper()
	s := d.stat()
	return int64(s.Bfree) * s.Bsize
}

func (d *Disk) used() int64 {
	s := d.stat()
	return int64(s.Blocks-s.Bfree) * s.Bsize
}

func (d *Disk) stat() syscall.Statfs_t {
	d.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// resize rounds up to whole pages; 0 would mean no limit.
func (d *Disk) resize(size int64) error {
	page := int64(syscall.Getpagesize())
	size = max(page, (size+page-1)/page*page)
	return syscall.Mount("tmpfs", d.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("mode=0700,size=%d", size))
}
