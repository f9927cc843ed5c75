package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// judgeDiskComparison compares what the nodes use with what is on their disks.
func judgeDiskComparison(v View, now time.Time) []Finding {
	var fs []Finding
	for _, i := range v.infos() {
		fs = append(fs, certificates(i, now)...)
		if i.DiskComparison == nil {
			continue // an older node
		}
		for _, f := range i.DiskComparison.Files {
			fs = append(fs, misplacedFile(v, i, f))
		}
		for _, d := range i.DiskComparison.Disks {
			if l := d.Level(); l != Healthy {
				fs = append(fs, fillingDisk(v, i, d, l))
			}
		}
		for _, d := range i.DiskComparison.Damaged {
			fs = append(fs, damagedBlocks(i, d, now))
		}
		if names := i.DiskComparison.NeedRestart; len(names) > 0 {
			fs = append(fs, Finding{
				Note, "node." + i.Name,
				fmt.Sprintf("The configuration file of %s has changed since it started: %s %s not in force there.", i.Name, flagNames(names), plural(len(names), "is", "are")),
				"restart unibusd on " + i.Name + " to use it",
			})
		}
	}
	return slices.Concat(fs, differingClocks(v), renewedNodes(v, now))
}

// damagedBlocks is for damage that the server does not see while it has the records in memory.
func damagedBlocks(i Info, d DamagedBlocks, now time.Time) Finding {
	return Finding{
		Degraded, "node." + i.Name,
		fmt.Sprintf("The disk of %s %s, as it was read at %s: unibusd there leaves rows out once it reads them again.",
			i.Name, core.DiskFaultText(short(d.Bucket), d.Records, d.Missing), clock(d.At, now)),
		core.TakeReplicasAgain(i.Name),
	}
}

func flagNames(names []string) string {
	flags := make([]string, len(names))
	for i, n := range names {
		flags[i] = "--" + n
	}
	return join(flags)
}

// certificates finds those that end soon, and those on disk that the node cannot use.
func certificates(i Info, now time.Time) []Finding {
	var fs []Finding
	for _, c := range i.certificates() {
		switch l := CertificateLevel(c.From, c.Until, now); {
		case c.Until == 0:
		case l != Healthy:
			fs = append(fs, endingCertificate(i.Name, c, l, now))
		case c.Fault != "":
			fs = append(fs, unusableCertificate(i.Name, c))
		}
	}
	return fs
}

// unusableCertificate is for one that a restart would stumble over, though all is well now.
func unusableCertificate(node string, c Certificate) Finding {
	next := fmt.Sprintf("put a certificate and its own key in place on %s before unibusd is restarted there: %s", node, c.renew(node))
	if c.Next != "" {
		next = "before unibusd is restarted on " + node + ": " + c.Next
	}
	return Finding{
		Degraded, "node." + node,
		fmt.Sprintf("%s does not use the certificate that is in %s now: %s. It goes on with the one from before, until %s.", node, c.File, c.Fault, day(c.Until)),
		next,
	}
}

// renew makes another certificate for the same node and hosts.
func (c Certificate) renew(node string) string {
	return fmt.Sprintf("unibusd cert node --name %s --ca DIR --host %s --out DIR", node, cmp.Or(c.Hosts, "HOST"))
}

func endingCertificate(node string, c Certificate, l Level, now time.Time) Finding {
	subject, ended := "The certificate that "+node+" shows to clients", "clients that check it do not connect there"
	next := fmt.Sprintf("put a new one and its key in place on %s, which takes them without a restart: %s", node, c.renew(node))
	switch c.Use {
	case UseRoutes:
		subject, ended = "The certificate that "+node+" shows to the other nodes", "they accept no connection with it"
	case UseAuthority:
		subject, ended = "The authority of the routes that "+node+" uses", "no node accepts another one"
		next = "make a new authority, and new certificates of it for every node: unibusd cert ca --out DIR"
	}
	if c.File != "" {
		subject += ", " + c.File + ","
	}
	f := Finding{Level: l, About: "node." + node, Next: next}
	left := c.Until.Time().Sub(now)
	f.Text = fmt.Sprintf("%s ends in %s: then %s.", subject, span(left), ended)
	if left <= 0 {
		f.Text = fmt.Sprintf("%s ended on %s: %s.", subject, day(c.Until), ended)
	}
	if c.Fault != "" {
		f.Text += fmt.Sprintf(" What is in that file now is not used: %s.", c.Fault)
	}
	return f
}

// day is a moment to the minute, as clock has it.
func day(m core.Millis) string {
	return m.Time().UTC().Format("2006-01-02 15:04") + " UTC"
}

// misplacedFile is for a file that is not the one that a node uses.
func misplacedFile(v View, i Info, f MisplacedFile) Finding {
	k, known := partKinds(v, i)[f.Part]
	if !known { // of a newer node
		k = partKind{Degraded, "the file", "it may be lacking after a restart", "put it back on " + i.Name}
	}
	text := fmt.Sprintf("On %s %s %s was removed or moved while unibusd uses it", i.Name, k.noun, f.Path)
	switch f.State {
	case FileCut:
		text = fmt.Sprintf("On %s %s %s was cut short while unibusd uses it", i.Name, k.noun, f.Path)
	case FileReplaced:
		text = fmt.Sprintf("On %s %s %s was replaced by another one while unibusd uses it", i.Name, k.noun, f.Path)
		if f.Part == PartAudit { // by a copy of itself, perhaps
			k.means = "records may be missing in it"
		}
	}
	return Finding{k.level, "node." + i.Name, text + ": " + k.means + ".", k.next}
}

// partKind says what the lack of a file means.
type partKind struct {
	level       Level
	noun, means string
	next        string
}

// partKinds is a table, so that all of it can be read side by side.
func partKinds(v View, i Info) map[FilePart]partKind {
	n := i.Name
	save := fmt.Sprintf("put it back; if it was deleted, do not stop %s, and save its content first: unibusd backup --out FILE", n)
	data := save
	if v.Clustered {
		data = fmt.Sprintf("put it back; if it was deleted, restart unibusd on %s while every other node is healthy: it takes everything from them", n)
	}
	lost := "what " + n + " writes is lost when unibusd stops there"
	db := partKind{Critical, "the SQLite file", "changes are refused, and its content is lost when unibusd stops there", save}
	if i.Serving.Backend != core.BackendSQLite {
		db = partKind{Note, "the SQLite file", "the node does not serve it", "put it back on " + n + " if a rollback or an audit may need it; else nothing is to be done on " + n}
	}
	audit := partKind{Critical, "the audit", "the records before are missing in it", fmt.Sprintf("put it back while unibusd on %s is stopped", n)}
	if v.Clustered {
		audit.level, audit.noun = Degraded, "the copy of the audit"
		audit.next += "; if it was deleted, restart unibusd there, which copies the records again"
	}
	return map[FilePart]partKind{
		PartDatabase:   db,
		PartData:       {Critical, "the data directory", lost, data},
		PartStreams:    {Critical, "the directory of JetStream", lost, data},
		PartAudit:      audit,
		PartClusterKey: {Degraded, "the cluster's key", "after a restart clients and operators may refuse " + n, fmt.Sprintf("put it back on %s before unibusd is restarted there: another node of the cluster has the same", n)},
		PartOwner:      {Degraded, "the file", "without it unibusd refuses to start there", fmt.Sprintf(`write it again on %s: {"cluster":%q,"node":%q}`, n, v.Cluster, n)},
		PartLock:       {Degraded, "the lock of the data directory,", "a second unibusd could start in it and ruin it", "restart unibusd on " + n},
		PartBackups:    {Degraded, "the directory for backups", "a migration cannot begin, because it keeps its copy there", "restart unibusd on " + n + ", which makes it again"},
		PartLog:        {Degraded, "the log", "what is logged cannot be read", "restart unibusd on " + n},
	}
}

// fillingDisk foretells a full disk: the next write would show it too late.
func fillingDisk(v View, i Info, d Disk, l Level) Finding {
	if d.ReadOnly {
		return Finding{
			l, "node." + i.Name, fmt.Sprintf("The disk of %s at %s is mounted read-only: every write fails there, revocations included.", i.Name, d.Path),
			fmt.Sprintf("find the cause on %s, mount the disk for writing, and restart unibusd there: dmesg", i.Name),
		}
	}
	text := fmt.Sprintf("The disk of %s at %s has %s of %s free", i.Name, d.Path, bytesText(d.Free), bytesText(d.Total))
	if d.bytesLevel() != l {
		text = fmt.Sprintf("The disk of %s at %s can hold only %d more files", i.Name, d.Path, d.FreeFiles)
	} else if n, ok := v.node(i.Name); ok && n.DiskMax-n.Disk > d.Free {
		text += fmt.Sprintf(", and JetStream may take another %s", bytesText(n.DiskMax-n.Disk))
	}
	means := ": once it is full, every write fails there, revocations included."
	switch {
	case d.Free <= 0 || d.Files > 0 && d.FreeFiles <= 0:
		means = ": every write fails there, revocations included."
	case l == Critical:
		means = ": soon every write fails there, revocations included."
	}
	return Finding{l, "node." + i.Name, text + means, fmt.Sprintf("free space on %s; this shows what takes it: du -xh -d1 %s", i.Name, core.ShellQuote(d.Path)) + guided("disk-full")}
}

// bytesText is a size as disks are measured.
func bytesText(n int64) string {
	units := []string{"bytes", "KB", "MB", "GB", "TB"}
	f, u := float64(n), 0
	for f >= 1000 && u < len(units)-1 {
		f, u = f/1000, u+1
	}
	if u == 0 || f >= 10 {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// clockTolerated is how far two nodes' clocks may differ: an answer may be late by a second.
const clockTolerated = 5 * time.Second

// differingClocks finds nodes whose time is another one than that of the node that looked.
func differingClocks(v View) []Finding {
	var fs []Finding
	for _, n := range v.Nodes {
		off := time.Duration(n.ClockMS) * time.Millisecond
		if !n.Online || off.Abs() <= clockTolerated {
			continue
		}
		ahead := "ahead of"
		if off < 0 {
			ahead = "behind"
		}
		fs = append(fs, Finding{
			Degraded, "node." + n.Name,
			fmt.Sprintf("The clock of %s is %s %s that of %s: signed requests, certificates and the ends of users are judged by it.", n.Name, span(off.Abs()), ahead, v.From),
			"set both clocks by a time server; this shows whether one is in use: timedatectl",
		})
	}
	return fs
}

// How long the finding about a node that began empty stays.
const (
	renewedSettles = time.Minute        // a leader may call an empty replica current for some seconds
	renewedTold    = 7 * 24 * time.Hour // for those who were not there
)

// renewedNodes finds nodes whose data directory was lost or emptied: they began anew.
func renewedNodes(v View, now time.Time) []Finding {
	at := map[string]core.Millis{}
	for _, i := range v.infos() { // each node knows what it has seen
		for name, since := range i.Renewed {
			at[name] = max(at[name], since)
		}
	}
	var fs []Finding
	for _, n := range v.Nodes {
		since := at[n.Name]
		if since == 0 || Age(since, now) > renewedTold {
			continue
		}
		f := Finding{
			Note, "node." + n.Name,
			fmt.Sprintf("%s began with an empty data directory at %s. It has taken its replicas from the other nodes.", n.Name, clock(since, now)),
			fmt.Sprintf("if it was not emptied on purpose, look at the disk of %s", n.Name),
		}
		if behind := v.notCurrentOn(n.Name); len(behind) > 0 || Age(since, now) < renewedSettles {
			f.Level = Degraded
			f.Text = fmt.Sprintf("%s began with an empty data directory at %s, and takes its replicas from the other nodes. A second node that stops or begins empty meanwhile can lose data.", n.Name, clock(since, now))
			f.Next = "wait a minute, and stop no other node before this finding is a note" + guided("disk-wiped "+n.Name)
		}
		fs = append(fs, f)
	}
	return fs
}

// notCurrentOn are the buckets whose replica on a node is not current.
func (v View) notCurrentOn(node string) []string {
	var out []string
	for _, b := range v.AllBuckets() {
		for _, r := range b.Replicas {
			if r.Node == node && r.settled() != ReplicaCurrent {
				out = append(out, b.Name)
			}
		}
	}
	return out
}

// ServedCertificate returns the one of a node's certificates that ends first; false where
// none is known.
func (i Info) ServedCertificate() (Certificate, bool) {
	certs := slices.DeleteFunc(slices.Clone(i.certificates()), func(c Certificate) bool { return c.Until == 0 })
	if len(certs) == 0 {
		return Certificate{}, false
	}
	return slices.MinFunc(certs, func(a, b Certificate) int {
		return cmp.Or(cmp.Compare(a.Until, b.Until), strings.Compare(string(a.Use), string(b.Use)))
	}), true
}

func (i Info) certificates() []Certificate {
	if i.DiskComparison == nil { // an older node
		return []Certificate{{Use: UseClients, Until: i.CertUntil}}
	}
	return i.DiskComparison.Certificates
}
