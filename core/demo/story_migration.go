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

// move starts the migration and follows it until every bucket is verified.
func (s *story) move(ctx context.Context) error {
	s.head(fmt.Sprintf("Moving the control plane from SQLite into %d replicas", s.replicas))
	st, err := s.cfg.Admin.MigrateStart(ctx, s.source, migrate.Options{DB: s.cfg.Demo.LegacyDB, Replicas: s.replicas})
	if err != nil {
		return err
	}
	var told telling
	s.tell(&told, st)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Step)
	defer cancel()
	err = s.poll(ctx, func() (bool, error) {
		m, err := s.cfg.Admin.Migration(ctx)
		if err != nil {
			return false, err
		}
		s.tell(&told, m)
		return m.Unavailable(migrate.ActionCutover) == "", broken(m)
	})
	return about("the copy to be verified", err)
}

// broken is the error of a move that will not come to its end by itself.
func broken(m migrate.Status) error {
	switch {
	case m.Error != nil:
		return core.Errorf(core.KindFailed, "the move stopped in %s: %s", m.State, m.Error.Text).WithNext("%s", m.Error.Next)
	case len(m.Problems) > 0:
		p := m.Problems[0]
		return core.Errorf(core.KindFailed, "the move cannot start: %s %s: %s", p.Table, p.Key, p.Text).WithNext("%s", p.Next)
	case m.State == migrate.StateAborted, m.State == migrate.StateNone:
		return core.Errorf(core.KindFailed, "the move is %s", m.State)
	case m.Paused:
		return core.Errorf(core.KindFailed, "the move was paused in %s", m.State)
	}
	return nil
}

// telling is what of a move was already told.
type telling struct {
	state  migrate.State
	backup string
	done   int
}

// tell prints what is new: the state, the backup, the progress of the copy.
func (s *story) tell(told *telling, m migrate.Status) {
	if m.State != told.state {
		s.say("%s", m.State)
		told.state = m.State
	}
	if m.Backup.SHA256 != "" && m.Backup.SHA256 != told.backup {
		s.say("backup: %s", m.Backup.Path)
		s.say("        SHA-256 %s", m.Backup.SHA256)
		told.backup = m.Backup.SHA256
	}
	var done, total int
	var parts []string
	for _, p := range m.Progress {
		done, total = done+p.Done, total+p.Total
		parts = append(parts, fmt.Sprintf("%s %d/%d", p.Table, p.Done, p.Total))
	}
	if done > told.done && total > 0 {
		s.say("copied %3d %%: %s", done*100/total, strings.Join(parts, ", "))
		told.done = done
	}
}

// parity shows that every node's own replica equals the source.
func (s *story) parity(ctx context.Context) error {
	m, err := s.cfg.Admin.Migration(ctx)
	if err != nil {
		return err
	}
	s.head("Parity: rows and digest of the source, and of every node's own replica")
	for _, b := range m.Buckets {
		s.say("%-23s %5d  %.12s  %s", b.Name, b.Source.Count, b.Source.SHA256, s.parityOf(b))
	}
	if len(m.Buckets) != len(core.Tables()) {
		return core.Errorf(core.KindFailed, "parity was shown for %d buckets, there are %d", len(m.Buckets), len(core.Tables()))
	}
	for _, b := range m.Buckets {
		if len(b.Nodes) != s.replicas || !b.Equal() {
			return core.Errorf(core.KindFailed, "%s is not equal on %d nodes: %s", b.Name, s.replicas, s.parityOf(b))
		}
	}
	return nil
}

// parityOf is one word for each node, in the order of the demo.
func (s *story) parityOf(p migrate.Parity) string {
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

// cutover moves the authority and waits until every node serves from KV.
func (s *story) cutover(ctx context.Context) error {
	s.head("Cutting over")
	if _, err := s.cfg.Admin.MigrateCutover(ctx, s.source); err != nil && core.KindOf(err) != core.KindUnavailable {
		return err // an answer that did not come is not known: the status below tells
	}
	st, err := s.await(ctx, "every node to serve from KV with every replica current", func(st admin.Status) bool {
		return st.Authority != nil && st.Authority.Backend == core.BackendKV && servesKV(st) == len(s.cfg.Demo.Nodes) && s.replicated(st)
	})
	if err != nil {
		return err
	}
	if now := pids(st); !maps.Equal(now, s.pids) {
		return core.Errorf(core.KindFailed, "a node was restarted by the cutover: the processes are %v, they were %v", now, s.pids)
	}
	s.say("the control plane is KV, generation %d; no node was restarted", st.Authority.Generation)
	s.buckets(st)
	return s.unchanged(ctx, "after the cutover")
}

// replicated is true where all five buckets have the replicas wanted and each is current.
func (s *story) replicated(st admin.Status) bool {
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

func servesKV(st admin.Status) int {
	n := 0
	for _, node := range st.Nodes {
		if node.Online && node.Info != nil && node.Info.Serving.Backend == core.BackendKV {
			n++
		}
	}
	return n
}

// pids are the processes of the nodes, as they say themselves.
func pids(st admin.Status) map[string]int {
	out := map[string]int{}
	for _, n := range st.Nodes {
		if n.Info != nil {
			out[n.Name] = n.Info.PID
		}
	}
	return out
}

func online(st admin.Status) int { return len(st.Nodes) - len(missing(st)) }

func missing(st admin.Status) []string {
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
