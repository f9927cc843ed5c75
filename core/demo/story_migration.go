package demo

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// migrate starts the migration and follows it until every bucket is verified.
func (s *story) migrate(ctx context.Context) error {
	s.printHeading(fmt.Sprintf("Moving the control plane from SQLite into %d replicas", s.replicas))
	st, err := s.cfg.Admin.MigrateStart(ctx, s.source, migrate.Options{DB: s.cfg.Demo.LegacyDB, Replicas: s.replicas})
	if err != nil {
		return err
	}
	var told printedProgress
	s.printProgress(&told, st)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StepTimeout)
	defer cancel()
	err = s.poll(ctx, func() (bool, error) {
		m, err := s.cfg.Admin.Migration(ctx)
		if err != nil {
			return false, err
		}
		s.printProgress(&told, m)
		return m.Unavailable(migrate.ActionCutover) == "", migrationFailure(m)
	})
	return waitError("the copy to be verified", err)
}

// migrationFailure is the error of a migration that will not complete by itself.
func migrationFailure(m migrate.Status) error {
	switch {
	case m.Error != nil:
		return core.Errorf(core.KindFailed, "the migration stopped in %s: %s", m.State, m.Error.Text).WithNext("%s", m.Error.Next)
	case len(m.Problems) > 0:
		p := m.Problems[0]
		return core.Errorf(core.KindFailed, "the migration cannot start: %s %s: %s", p.Table, p.Key, p.Text).WithNext("%s", p.Next)
	case m.State == migrate.StateAborted, m.State == migrate.StateNone:
		return core.Errorf(core.KindFailed, "the migration is %s", m.State)
	case m.Paused:
		return core.Errorf(core.KindFailed, "the migration was paused in %s", m.State)
	}
	return nil
}

// printedProgress is what was printed of a migration so far.
type printedProgress struct {
	state  migrate.State
	backup string
	done   int
}

// printProgress prints what is new: the state, the backup, the progress of the
// copy.
func (s *story) printProgress(told *printedProgress, m migrate.Status) {
	if m.State != told.state {
		s.print("%s", m.State)
		told.state = m.State
	}
	if m.Backup.SHA256 != "" && m.Backup.SHA256 != told.backup {
		s.print("backup: %s", m.Backup.Path)
		s.print("        SHA-256 %s", m.Backup.SHA256)
		told.backup = m.Backup.SHA256
	}
	var done, total int
	var parts []string
	for _, p := range m.Progress {
		done, total = done+p.Done, total+p.Total
		parts = append(parts, fmt.Sprintf("%s %d/%d", p.Table, p.Done, p.Total))
	}
	if done > told.done && total > 0 {
		s.print("copied %3d %%: %s", done*100/total, strings.Join(parts, ", "))
		told.done = done
	}
}

// showParity shows that every node's own replica equals the source.
func (s *story) showParity(ctx context.Context) error {
	m, err := s.cfg.Admin.Migration(ctx)
	if err != nil {
		return err
	}
	s.printHeading("Parity: rows and digest of the source, and of every node's own replica")
	for _, b := range m.Buckets {
		s.print("%-23s %5d  %.12s  %s", b.Name, b.Source.Count, b.Source.SHA256, s.parityText(b))
	}
	if len(m.Buckets) != len(core.Tables()) {
		return core.Errorf(core.KindFailed, "parity was shown for %d buckets, there are %d", len(m.Buckets), len(core.Tables()))
	}
	for _, b := range m.Buckets {
		if len(b.Nodes) != s.replicas || !b.Equal() {
			return core.Errorf(core.KindFailed, "%s is not equal on %d nodes: %s", b.Name, s.replicas, s.parityText(b))
		}
	}
	return nil
}

// parityText is one word for each node, in the order of the demo.
func (s *story) parityText(p migrate.Parity) string {
	var out []string
	for _, n := range s.cfg.Demo.Nodes {
		d, asked := p.Nodes[n.Name]
		switch {
		case !asked:
			out = append(out, n.Name+" not asked")
		case d == p.Source:
			out = append(out, n.Name+" equal")
		default:
			out = append(out, fmt.Sprintf("%s different (%d)", n.Name, d.Count))
		}
	}
	return strings.Join(out, "  ")
}

// cutOver moves the authority and waits until every node serves from KV.
func (s *story) cutOver(ctx context.Context) error {
	s.printHeading("Cutting over")
	if _, err := s.cfg.Admin.MigrateCutover(ctx, s.source); err != nil && core.KindOf(err) != core.KindUnavailable {
		return err // without an answer the status below shows the outcome
	}
	st, err := s.awaitStatus(ctx, "every node to serve from KV with every replica current", func(st admin.Status) bool {
		return st.Authority != nil && st.Authority.Backend == core.BackendKV && countServingKV(st) == len(s.cfg.Demo.Nodes) && s.isReplicated(st)
	})
	if err != nil {
		return err
	}
	if now := nodePIDs(st); !maps.Equal(now, s.pids) {
		return core.Errorf(core.KindFailed, "a node was restarted by the cutover: the processes are %v, they were %v", now, s.pids)
	}
	s.print("the control plane is KV, generation %d; no node was restarted", st.Authority.Generation)
	s.printBuckets(st)
	return s.requireUnchanged(ctx, "after the cutover")
}

// isReplicated is true if all five buckets have the requested replicas and each is
// current.
func (s *story) isReplicated(st admin.Status) bool {
	for _, b := range st.Buckets {
		if b.Wanted != s.replicas || len(b.Replicas) != s.replicas || b.Leader == "" {
			return false
		}
		for _, r := range b.Replicas {
			if r.State != cluster.ReplicaCurrent {
				return false
			}
		}
	}
	return len(st.Buckets) == len(core.Tables())
}

func countServingKV(st admin.Status) int {
	n := 0
	for _, node := range st.Nodes {
		if node.Online && node.Info != nil && node.Info.Serving.Backend == core.BackendKV {
			n++
		}
	}
	return n
}

// nodePIDs are the processes that the nodes report.
func nodePIDs(st admin.Status) map[string]int {
	out := map[string]int{}
	for _, n := range st.Nodes {
		if n.Info != nil {
			out[n.Name] = n.Info.PID
		}
	}
	return out
}

func countOnline(st admin.Status) int { return len(st.Nodes) - len(offlineNodes(st)) }

func offlineNodes(st admin.Status) []string {
	out := []string{}
	for _, n := range st.Nodes {
		if !n.Online {
			out = append(out, n.Name)
		}
	}
	return out
}

func nodeLine(st admin.Status, n cluster.Node) string {
	words := []string{n.Name, "online"}
	if !n.Online {
		words[1] = "offline"
	}
	if n.Name == st.Meta.Leader {
		words = append(words, "meta leader")
	}
	if n.Info != nil && n.Info.Serving.Backend != core.BackendNone && n.Info.Serving.Backend != "" {
		words = append(words, "serves "+string(n.Info.Serving.Backend))
	}
	return strings.Join(words, ", ")
}

func bucketLine(b cluster.Bucket) string {
	var replicas []string
	for _, r := range b.Replicas {
		word := r.Node + " " + string(r.State)
		if r.Node == b.Leader {
			word += " (leads)"
		}
		replicas = append(replicas, word)
	}
	return fmt.Sprintf("%-23s R%d  %s", b.Name, b.Wanted, strings.Join(replicas, ", "))
}
