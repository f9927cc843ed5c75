package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// backupNow has the nodes make the scheduled backup at once. It does not wait for it: the
// overview shows what came of it.
func backupNow() Action {
	return Action{
		Name: "backup now", Key: "b", Hint: "back up now", IsRare: true, Scope: PageOverview, Confirmation: YesNo,
		Help:        "have the nodes make the scheduled backup at once",
		Unavailable: backupNowUnavailable,
		Question: func(s Input) Question {
			v := s.Snapshot.Status.Value.View
			var to []string
			for _, n := range v.Nodes {
				if n.Info != nil && n.Info.Backups != nil && !slices.Contains(to, n.Info.Backups.To) {
					to = append(to, n.Info.Backups.To)
				}
			}
			return Question{
				Title: "Make the scheduled backup now?", ConfirmLabel: "Back up",
				Lines: []string{
					fmt.Sprintf("One node writes it to %s, reads it back, restores it and compares every row.", strings.Join(to, ", or ")),
					"Users notice nothing. The overview shows when it is made.",
				},
			}
		},
		Command: func(Input, []string) string { return "unibusd backup now" },
		Run: func(ctx context.Context, c Client, _ Input, _ []string) (string, error) {
			if _, err := c.BackupNow(ctx); err != nil {
				return "", err
			}
			return "The nodes make a backup now. The overview and `unibusd backup list` show when it is rehearsed.", nil
		},
	}
}

func backupNowUnavailable(s Input) string {
	v := s.Snapshot.Status.Value.View
	switch {
	case v.BackupInterval() == 0:
		return "no node has a schedule of backups: give the nodes backup-dir and backup-at"
	case v.Backups != nil && v.Backups.Restore.Unfinished(v.Authority):
		return "a backup is being restored into the cluster"
	case v.Backups != nil && v.Backups.Lease != nil:
		return v.Backups.Lease.Node + " makes one already"
	case !slices.ContainsFunc(v.Nodes, func(n cluster.Node) bool {
		return n.Info != nil && n.Info.Backups != nil && n.Info.Serving.Backend != core.BackendNone
	}):
		return "no node that has a schedule serves the control plane"
	}
	return ""
}
