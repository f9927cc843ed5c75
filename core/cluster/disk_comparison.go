package cluster

import (
	"time"

	"unibus/core"
)

// DiskComparison is what a node found when it last compared what it uses with what is on disk:
// the certificates that it shows, the files that it has open, and the disks that it writes to.
type DiskComparison struct {
	Certificates []Certificate   `json:"certificates,omitempty"`
	Files        []MisplacedFile `json:"files,omitempty"`
	Disks        []Disk          `json:"disks,omitempty"`
	Damaged      []DamagedBlocks `json:"damaged,omitempty"`
	NeedRestart  []string        `json:"need_restart,omitempty"` // settings that differ in the configuration file, by flag
}

// DamagedBlocks is a bucket of which a node's disk does not hold what was written.
type DamagedBlocks struct {
	Bucket  string      `json:"bucket"`
	Records int         `json:"records"`
	Missing int         `json:"missing,omitempty"` // blocks
	At      core.Millis `json:"at"`                // when they were read
}

// CertificateUse says where a certificate is in use.
type CertificateUse string

// The uses of certificates.
const (
	UseClients   CertificateUse = "clients" // shown to clients, operators among them
	UseRoutes    CertificateUse = "routes"  // shown to other nodes
	UseAuthority CertificateUse = "route-ca"
)

// Certificate is one that a node has in use.
type Certificate struct {
	Use   CertificateUse `json:"use"`
	File  string         `json:"file"`
	From  core.Millis    `json:"from"`
	Until core.Millis    `json:"until"`
	Hosts string         `json:"hosts,omitempty"` // that it is for, between commas
	Fault string         `json:"fault,omitempty"` // why what is on disk now is not in use
	Next  string         `json:"next,omitempty"`  // what to do about that, on its node; "" where the cause says nothing

	KeyFile string    `json:"key_file,omitempty"`
	Signer  string    `json:"signer,omitempty"` // the core.CA.ID of the CA that signed it; "": a node of an older release, or UseAuthority
	CAs     []core.CA `json:"cas,omitempty"`    // UseAuthority: every CA in the bundle, by which the node verifies its peers
}

// FilePart is a file or directory of a node.
type FilePart string

// The parts that a node watches.
const (
	PartDatabase   FilePart = "database"
	PartData       FilePart = "data"    // the data directory
	PartStreams    FilePart = "streams" // the directory of JetStream
	PartAudit      FilePart = "audit"
	PartClusterKey FilePart = "cluster-key"
	PartOwner      FilePart = "owner" // cluster.json
	PartLock       FilePart = "lock"
	PartBackups    FilePart = "backups"
	PartLog        FilePart = "log"
)

// FileState says what became of a file that a node uses.
type FileState string

// The states of a file that is not as it should be.
const (
	FileMissing  FileState = "missing"
	FileReplaced FileState = "replaced" // another one has its place
	FileCut      FileState = "cut"      // shorter than what the node wrote
)

// MisplacedFile is a file that is not the one that a node uses.
type MisplacedFile struct {
	Part  FilePart  `json:"part"`
	Path  string    `json:"path"`
	State FileState `json:"state"`
}

// Disk is a file system that a node writes to.
type Disk struct {
	Path      string `json:"path"`       // a directory on it
	Free      int64  `json:"free"`       // bytes that the node may still write
	Total     int64  `json:"total"`      // Free and what is used
	FreeFiles int64  `json:"free_files"` // inodes
	Files     int64  `json:"files"`      // 0: the file system does not count them
	ReadOnly  bool   `json:"read_only,omitempty"`
}

// The time before a certificate's end at which it is reported: a share of its lifetime, so
// that one of a day is not reported for ever, and at most so many days.
const (
	certSoonShare = 4
	certNowShare  = 10
	certSoon      = 30 * 24 * time.Hour
	certNow       = 7 * 24 * time.Hour
)

// CertificateLevel says how near the end of a certificate is. From may be 0: not known.
func CertificateLevel(from, until core.Millis, now time.Time) Level {
	soon, soonest := certSoon, certNow
	if from != 0 && from < until {
		life := until.Time().Sub(from.Time())
		soon, soonest = min(soon, life/certSoonShare), min(soonest, life/certNowShare)
	}
	switch left := until.Time().Sub(now); {
	case left <= soonest:
		return Critical
	case left <= soon:
		return Degraded
	}
	return Healthy
}

// The free part of a disk at which it is reported. A large disk is not, as long as many bytes are free.
const (
	diskLow         = 0.10
	diskLowBytes    = 5 << 30
	diskAlmostFull  = 0.03
	diskAlmostBytes = 1 << 30
)

// Level says how near a disk is to being full, by bytes or by inodes.
func (d Disk) Level() Level {
	if d.ReadOnly {
		return Critical
	}
	bytes := d.bytesLevel()
	files := freeLevel(d.FreeFiles, d.Files, true, true)
	if files.rank() > bytes.rank() {
		return files
	}
	return bytes
}

func (d Disk) bytesLevel() Level {
	return freeLevel(d.Free, d.Total, d.Free < diskLowBytes, d.Free < diskAlmostBytes)
}

func freeLevel(free, total int64, isLow, isAlmostNone bool) Level {
	switch share := float64(free) / float64(max(1, total)); {
	case total <= 0:
		return Healthy
	case isAlmostNone && share < diskAlmostFull:
		return Critical
	case isLow && share < diskLow:
		return Degraded
	}
	return Healthy
}
