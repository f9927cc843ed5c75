package node

import (
	"context"
	"path/filepath"

	"unibus/core"
	"unibus/core/backup"
	"unibus/core/backup/s3"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/jsapi"
	"unibus/core/store/kv"
)

// backupRecordFile is where a node alone keeps the record of scheduled backups.
const backupRecordFile = "backups.json"

// openSchedule begins to make backups when it is this node's turn. A node without a
// schedule follows the record, so that its status knows of the backups.
func (n *Node) openSchedule(context.Context) error {
	cfg, err := scheduleSettings(n.cfg.Node)
	if err != nil {
		return err
	}
	cfg.Ledger = &backup.FileLedger{Path: filepath.Join(n.cfg.Data, backupRecordFile)}
	if n.cfg.Clustered() {
		cfg.Ledger, cfg.News = n.controlRecord, n.controlNews()
	}
	cfg.Make, cfg.Need, cfg.Free, cfg.Sign = n.backupToRehearse, n.backupSize, freeBytes, n.clusterKey
	cfg.Serves = n.canMakeBackups
	cfg.OnMade = func(b core.ScheduledBackup) {
		clusterView{n}.Note(cluster.Note, "backup", b.Node+" made and rehearsed the backup "+b.Name)
	}
	cfg.OnFailed = func(err error) {
		clusterView{n}.Note(cluster.Degraded, "backup", "the scheduled backup failed on "+n.cfg.Name+": "+core.AsError(err).Text)
	}
	cfg.Log = n.log
	schedule := backup.NewScheduler(cfg)
	n.schedule.Store(schedule)
	ctx := n.scheduling.start()
	n.scheduling.run(func() { schedule.Run(ctx) })
	return nil
}

// controlNews tells whether the control records may have changed since it said so last.
func (n *Node) controlNews() func() bool {
	replica := jsapi.LocalReplica{LastSeq: func() (uint64, bool) { return n.bus.LastSeq(streamOf(kv.ControlBucket)) }}
	return func() bool {
		due := replica.AskDue()
		if due {
			replica.Answered(true)
		}
		return due
	}
}

// canMakeBackups is nil where this node serves a store, can sign what it makes, and is not
// about to be stopped.
func (n *Node) canMakeBackups() error {
	if _, ok := n.clusterKey.get(); !ok {
		return core.Errorf(core.KindUnavailable, "%s does not know the cluster key yet", n.cfg.Name)
	}
	if n.isDrained() {
		return core.Errorf(core.KindUnavailable, "%s is in maintenance", n.cfg.Name)
	}
	if n.isRestoring() {
		return core.Errorf(core.KindUnavailable, "a backup is being restored into the cluster")
	}
	_, err := n.storeHandle.Store()
	return err
}

func (n *Node) closeSchedule(context.Context) error {
	n.scheduling.stop()
	return nil
}

// scheduleSettings are the settings of scheduled backups as the scheduler has them.
func scheduleSettings(n config.Node) (backup.ScheduleConfig, error) {
	cfg := backup.ScheduleConfig{Node: n.Name, Cluster: backup.ClusterWord(n.ClusterName, n.Name), Scratch: filepath.Join(n.Data, "backup-rehearsal")}
	if !n.MakesBackups() {
		return cfg, nil
	}
	cfg.Every, cfg.Keep = n.BackupInterval(), n.BackupsKept()
	cfg.To = backup.Directory{Path: n.BackupDir, Node: n.Name, Free: freeBytes}
	var err error
	if cfg.At, err = n.BackupTime(); err != nil {
		return cfg, err
	}
	if n.BackupDir == "" {
		if cfg.To, err = objectStore(n, cfg.Cluster); err != nil {
			return cfg, err
		}
	}
	if cfg.Recipients, err = backup.ParseRecipients(n.BackupRecipients); err != nil {
		return cfg, err
	}
	cfg.Identities, err = backup.ReadIdentities(n.BackupIdentity)
	return cfg, err
}

// objectStore returns a nil interface with an error.
func objectStore(n config.Node, clusterName string) (backup.Destination, error) {
	b, err := s3.New(s3.Config{
		Endpoint: n.BackupS3Endpoint, Region: n.BackupS3Region, Bucket: n.BackupS3Bucket, Prefix: n.BackupS3Prefix,
		AccessKey: n.BackupS3AccessKey, SecretKey: n.BackupS3SecretKey, CA: n.BackupS3CA, Own: backup.NamePrefix(clusterName),
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// backupSchedule is what this node says of its schedule; nil without one.
func (n *Node) backupSchedule() *cluster.BackupSchedule {
	if !n.cfg.MakesBackups() {
		return nil
	}
	to := n.cfg.BackupDir
	if to == "" {
		to = n.cfg.BackupS3Endpoint + "/" + n.cfg.BackupS3Bucket + "/" + n.cfg.BackupS3Prefix
	}
	at := ""
	if d, err := n.cfg.BackupTime(); err == nil && d != nil { // checked before the start
		at = d.String()
	}
	return &cluster.BackupSchedule{At: at, To: to, EveryMS: n.cfg.BackupInterval().Milliseconds(), Keep: n.cfg.BackupsKept(), Encrypted: len(n.cfg.BackupRecipients) > 0}
}

// scheduledBackups asks the nodes for one.
type scheduledBackups struct{ n *Node }

// Request implements the schedule of core/admin.
func (s scheduledBackups) Request(ctx context.Context, by core.Operator) (core.Millis, error) {
	if s.n.observer.Fresh(ctx).BackupInterval() == 0 {
		return 0, core.Errorf(core.KindRefused, "no node has a schedule of backups").
			WithNext("give the nodes --backup-dir and --backup-every, or fetch a backup yourself: unibusd backup --out FILE")
	}
	return s.n.schedule.Load().Request(ctx, by.Name)
}

// backupRecord is what this node knows of scheduled backups; nil before it does.
func (n *Node) backupRecord() *core.BackupRecord {
	s := n.schedule.Load()
	if s == nil {
		return nil
	}
	rec, ok := s.Record()
	if !ok {
		return nil
	}
	return &rec
}
