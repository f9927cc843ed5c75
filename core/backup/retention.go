package backup

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"unibus/core"
)

// maxKept bounds the record: it lists no more backups than that.
const maxKept = 200

const nameTimeLayout = "20060102T150405.000Z"

// backupName is the name of a scheduled backup: unibus-CLUSTER-TIME-NODE.db, with .age
// where it is encrypted.
func backupName(cluster, node string, at time.Time, encrypted bool) string {
	name := fmt.Sprintf("%s%s-%s.db", NamePrefix(cluster), at.UTC().Format(nameTimeLayout), node)
	if encrypted {
		name += ".age"
	}
	return name
}

// NamePrefix begins the names of a cluster's scheduled backups.
func NamePrefix(cluster string) string { return "unibus-" + cluster + "-" }

// scheduledNames returns the names that backupName makes for a cluster, the latest first.
// Other files at the destination are left alone.
func scheduledNames(cluster string, all []string) []string {
	pattern := regexp.MustCompile(`^` + regexp.QuoteMeta(NamePrefix(cluster)) + `\d{8}T\d{6}\.\d{3}Z-[A-Za-z0-9_-]+\.db(\.age)?$`)
	names := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !pattern.MatchString(name) })
	slices.Sort(names) // those of one cluster differ first in the time
	slices.Reverse(names)
	return names
}

// retain removes the oldest backups at this node's destination beyond those to keep. The
// last rehearsed one stays in any case. A failure is logged: the backup is made, and the
// next one tries again.
func (t *leasedBackup) retain(ctx context.Context) {
	cfg := t.s.cfg
	all, err := cfg.To.List(ctx)
	if err != nil {
		cfg.Log.Warn("old backups could not be listed; they stay", "to", cfg.To.String(), "error", err)
		return
	}
	names := scheduledNames(cfg.Cluster, all)
	last, _ := t.s.last()
	here := map[string]bool{}
	removed := map[string]bool{}
	for i, name := range names {
		if cfg.Keep == 0 || i < cfg.Keep || name == last.Name {
			here[name] = true
			continue
		}
		if err := cfg.To.Remove(ctx, name); err != nil {
			cfg.Log.Warn("an old backup could not be removed", "name", name, "to", cfg.To.String(), "error", err)
			here[name] = true
			continue
		}
		cfg.Log.Info("removed an old backup", "name", name, "to", cfg.To.String())
		removed[name] = true
	}
	err = t.s.change(ctx, func(rec *core.BackupRecord) error {
		rec.Kept = slices.DeleteFunc(slices.Clone(rec.Kept), func(b core.ScheduledBackup) bool {
			return removed[b.Name] || b.Node == cfg.Node && b.To == cfg.To.String() && !here[b.Name] && b.Name != last.Name
		})
		rec.Kept = rec.Kept[:min(len(rec.Kept), maxKept)]
		return nil
	})
	if err != nil {
		cfg.Log.Warn("the list of backups could not be changed; the next backup does it", "error", err)
	}
}

// ClusterWord is how the names of backups call a cluster, or a node that stands alone.
func ClusterWord(cluster, node string) string {
	if cluster == "" {
		return "alone-" + node
	}
	return cluster
}

// maxUnfinished bounds the record.
const maxUnfinished = 20

// removeUnfinished removes what a turn has left that another one followed. Any node tries, because
// the destination may be one for all; only the file's own node knows that it is gone.
func (s *Scheduler) removeUnfinished(ctx context.Context, rec core.BackupRecord) {
	gone := map[core.UnfinishedBackup]bool{}
	for _, u := range rec.Unfinished {
		mine := u.Node == s.cfg.Node
		if !mine && s.tried[u] {
			continue
		}
		if err := s.cfg.To.Remove(ctx, u.Name); err != nil {
			s.cfg.Log.Warn("a backup that was not finished could not be removed", "name", u.Name, "to", s.cfg.To.String(), "error", err)
			continue
		}
		if s.tried[u] = true; mine {
			gone[u] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	err := s.change(ctx, func(rec *core.BackupRecord) error {
		rec.Unfinished = slices.DeleteFunc(slices.Clone(rec.Unfinished), func(u core.UnfinishedBackup) bool { return gone[u] })
		return nil
	})
	if err != nil {
		s.cfg.Log.Debug("the list of unfinished backups could not be changed; it is tried again", "error", err)
	}
}
