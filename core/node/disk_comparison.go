package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/bus"
	"unibus/core/cluster"
	"unibus/core/keys"
)

// compareEvery is the pause between two comparisons of what the node uses with its disks.
const compareEvery = 2 * time.Second

// diskComparer compares what the node uses with what is on disk. It has a goroutine of its
// own: a disk that does not answer delays the comparison, and not the node's answers.
type diskComparer struct {
	background
	latest atomic.Pointer[cluster.DiskComparison]

	// Directories stay open, so that no other one gets their inodes.
	data, streams *os.File

	missed map[string]bool // buckets whose directory was not there at the last comparison
}

func (n *Node) openDiskComparison(context.Context) error {
	w := &n.diskCompare
	w.missed = map[string]bool{}
	w.data, w.streams = openDir(n.cfg.Data), openDir(n.bus.StreamDir())
	n.compareWithDisk()
	ctx := w.start()
	w.run(func() { repeat(ctx, compareEvery, n.compareWithDisk) })
	return nil
}

func (n *Node) closeDiskComparison(context.Context) error {
	n.diskCompare.stop()
	for _, d := range []*os.File{n.diskCompare.data, n.diskCompare.streams} {
		_ = d.Close() // it was only held
	}
	return nil
}

// openDir returns nil where there is no such directory.
func openDir(path string) *os.File {
	d, err := os.Open(path)
	if err != nil {
		return nil
	}
	return d
}

func (n *Node) compareWithDisk() {
	n.restoreLists()
	now := &cluster.DiskComparison{Certificates: servedCertificates(n.bus.Certificates()), Files: n.misplacedFiles(), Disks: n.disks(), Damaged: n.blocks.found()}
	if names := n.needRestart.Load(); names != nil {
		now.NeedRestart = *names
	}
	n.diskCompare.latest.Store(now)
}

func servedCertificates(c bus.Certificates) []cluster.Certificate {
	var out []cluster.Certificate
	for _, u := range []struct {
		use  cluster.CertificateUse
		cert *bus.ServedCertificate
	}{{cluster.UseClients, c.Clients}, {cluster.UseRoutes, c.Routes}, {cluster.UseAuthority, c.Authority}} {
		if u.cert == nil {
			continue
		}
		cert := cluster.Certificate{Use: u.use, File: u.cert.File, From: core.MillisOf(u.cert.From), Until: core.MillisOf(u.cert.Until), Hosts: strings.Join(u.cert.Hosts, ","), Fault: u.cert.Fault, Next: u.cert.Next}
		cert.KeyFile, cert.Signer, cert.CAs = u.cert.KeyFile, u.cert.Signer, u.cert.CAs
		out = append(out, cert)
	}
	return out
}

// misplacedFiles are the files that are not the ones that this node uses.
func (n *Node) misplacedFiles() []cluster.MisplacedFile {
	var out []cluster.MisplacedFile
	add := func(part cluster.FilePart, path string, state cluster.FileState) {
		if state != "" {
			out = append(out, cluster.MisplacedFile{Part: part, Path: path, State: state})
		}
	}
	if file := n.selector.file(); file != nil {
		if path, replaced := file.Misplaced(); path != "" {
			add(cluster.PartDatabase, path, map[bool]cluster.FileState{true: cluster.FileReplaced, false: cluster.FileMissing}[replaced])
		}
	}
	if gone := placeOf(n.diskCompare.data, n.cfg.Data); gone != "" {
		add(cluster.PartData, n.cfg.Data, gone) // what is in it is gone as well
	} else {
		add(cluster.PartAudit, filepath.Join(n.cfg.Data, auditFile), auditState(n.audit.FileState()))
		add(cluster.PartClusterKey, n.clusterKey.path, n.clusterKey.fileState())
		add(cluster.PartLock, filepath.Join(n.cfg.Data, lockFile), placeOf(n.lock.f, filepath.Join(n.cfg.Data, lockFile)))
		add(cluster.PartOwner, n.bus.OwnerFile(), presence(n.bus.OwnerFile()))
		if n.cfg.Clustered() {
			add(cluster.PartBackups, n.backupDir(), presence(n.backupDir()))
			out = append(out, n.misplacedStreams()...)
		}
	}
	add(cluster.PartLog, logPath(n.cfg.LogFile), logState(n.cfg.LogFile))
	return out
}

// placeOf compares what is open with what is at its path; "" if it is in its place.
func placeOf(open *os.File, path string) cluster.FileState {
	if open == nil {
		return ""
	}
	mine, err := open.Stat()
	if err != nil {
		return "" // it was closed
	}
	at, err := os.Stat(path)
	switch {
	case err != nil:
		return cluster.FileMissing
	case !os.SameFile(mine, at):
		return cluster.FileReplaced
	}
	return ""
}

// presence is for a file that the node replaces itself: any one is good. A path "" is too.
func presence(path string) cluster.FileState {
	if _, err := os.Stat(path); err != nil && path != "" {
		return cluster.FileMissing
	}
	return ""
}

// wasRemoved is true for a file that is to be written again: its directory is there.
func wasRemoved(path string) bool {
	return presence(path) != "" && presence(filepath.Dir(path)) == ""
}

func auditState(s audit.FileState) cluster.FileState {
	return map[audit.FileState]cluster.FileState{
		audit.FileMissing: cluster.FileMissing, audit.FileReplaced: cluster.FileReplaced, audit.FileCut: cluster.FileCut,
	}[s]
}

// misplacedStreams finds JetStream's directory, or that of a stream of which this node has
// a replica, if it is not there any more.
func (n *Node) misplacedStreams() []cluster.MisplacedFile {
	dir := n.bus.StreamDir()
	if gone := placeOf(n.diskCompare.streams, dir); gone != "" {
		return []cluster.MisplacedFile{{Part: cluster.PartStreams, Path: dir, State: gone}}
	}
	var out []cluster.MisplacedFile
	missed := map[string]bool{}
	for _, b := range n.observer.View().AllBuckets() {
		if !slices.ContainsFunc(b.Replicas, func(r cluster.Replica) bool { return r.Node == n.cfg.Name }) {
			continue
		}
		at := streamPath(dir, b.Name)
		if presence(at) == "" {
			continue
		}
		if n.diskCompare.missed[b.Name] { // a new replica has no directory for a moment
			out = append(out, cluster.MisplacedFile{Part: cluster.PartStreams, Path: at, State: cluster.FileMissing})
		}
		missed[b.Name] = true
	}
	n.diskCompare.missed = missed
	return out
}

// streamPath is where the messages of a bucket or of the audit are.
func streamPath(dir, name string) string {
	return filepath.Join(dir, "CONTROL", "streams", streamOf(name), "msgs")
}

// fileState compares the key in force with its file. A node that had another key before it
// joined keeps that in the file, which is a finding of its own.
func (k *clusterKey) fileState() cluster.FileState {
	public := k.Public()
	if public == "" || k.conflict() != "" {
		return ""
	}
	switch id, err := keys.ReadClusterKey(k.path); {
	case core.KindOf(err) == core.KindNotFound:
		return cluster.FileMissing
	case err != nil || id.Public() != public:
		return cluster.FileReplaced
	}
	return ""
}

// restoreLists writes the lists again whose files were removed: a start without them
// would admit removed operators and removed nodes.
func (n *Node) restoreLists() {
	for path, restore := range map[string]func() bool{
		n.removed.path: n.removed.restore, n.membership.path: n.membership.restore, n.maintenance.path: n.maintenance.restore,
	} {
		if restore() {
			n.log.Warn("the file of a list that all nodes keep was gone, and was written again", "file", path)
		}
	}
}

// logState tells whether the log goes to a file that was deleted. A log that is no file is not looked at.
func logState(f *os.File) cluster.FileState {
	if f == nil {
		return ""
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 0 {
		return cluster.FileMissing
	}
	return ""
}

// logPath is the path that a log file had when it was opened.
func logPath(f *os.File) string {
	if f == nil {
		return ""
	}
	path, err := os.Readlink(filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd()))))
	if err != nil {
		return f.Name()
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// disks are the file systems that this node writes to, that of its data directory first.
func (n *Node) disks() []cluster.Disk {
	paths := []string{n.cfg.Data, n.bus.StreamDir(), n.backupDir(), filepath.Dir(n.cfg.DB)}
	if file := n.selector.file(); file != nil {
		paths = append(paths, filepath.Dir(file.Path()))
	}
	var out []cluster.Disk
	seen := map[uint64]bool{}
	for _, p := range paths {
		device, ok := deviceOf(p)
		if !ok || seen[device] {
			continue
		}
		seen[device] = true
		if d, ok := diskOf(p); ok {
			out = append(out, d)
		}
	}
	return out
}

func deviceOf(path string) (uint64, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsDir() {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Dev), true
}

func diskOf(path string) (cluster.Disk, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return cluster.Disk{}, false
	}
	size := int64(st.Bsize)
	used := int64(st.Blocks-st.Bfree) * size
	free := int64(st.Bavail) * size // without what is reserved for root
	const readOnly = 1              // ST_RDONLY of statfs(2)
	return cluster.Disk{
		Path: path, Free: free, Total: used + free, FreeFiles: int64(st.Ffree), Files: int64(st.Files), ReadOnly: st.Flags&readOnly != 0,
	}, true
}
