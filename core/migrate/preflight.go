package migrate

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// runPreflight reports everything that would fail before anything is written. Then
// it makes the SQLite file the recorded authority, and waits until every node has
// synced that to its journal.
func (j *Job) runPreflight(ctx context.Context) (State, error) {
	if err := j.runChecks(ctx); err != nil {
		return StatePreflight, err
	}
	if err := j.checkInterrupted(ctx); err != nil {
		return StatePreflight, err
	}
	a, err := j.claimAuthority(ctx)
	if err != nil {
		return StatePreflight, err
	}
	if err := j.awaitJournals(ctx, a); err != nil {
		return StatePreflight, err
	}
	return StateBackup, nil
}

// runChecks sets Status.Problems; KindRefused if there are any.
func (j *Job) runChecks(ctx context.Context) error {
	problems, kind, err := j.findProblems(ctx)
	if err != nil {
		return err
	}
	j.updateStatus(func(s *Status) { s.Problems = problems })
	if len(problems) == 0 {
		return nil
	}
	return core.Errorf(kind, "the migration did not start, because of %s; the first: %s", count(len(problems), "problem"), problems[0].TextWithRow()).
		WithNext("repair what is listed, then start again; nothing was written")
}

// findProblems returns what stops the migration. kind is KindInvalid if
// --ignore-node or --ignore names what cannot be ignored, else KindRefused.
func (j *Job) findProblems(ctx context.Context) (out []core.Problem, kind core.Kind, err error) {
	c, err := j.awaitHealthyGroups(ctx)
	if err != nil {
		return nil, "", err
	}
	out, kind = ignoredNodeProblems(c, j.cfg.Node, j.Status().Options.IgnoredNodes), core.KindRefused
	if len(out) > 0 {
		kind = core.KindInvalid
	}
	out = append(out, c.Problems(j.cfg.Node)...)
	a, _, err := j.readAuthority(ctx)
	if err != nil {
		return nil, "", err
	}
	if p := j.authorityProblem(a); p != nil {
		out = append(out, *p)
	}
	out = append(out, j.spaceProblems(ctx, c)...)
	rows, readable, err := j.sourceProblems(ctx)
	if err != nil {
		return nil, "", err
	}
	if readable {
		left, invalid, err := j.findLeftovers(ctx)
		if err != nil {
			return nil, "", err
		}
		if out = append(out, left...); invalid == core.KindInvalid {
			kind = invalid
		}
	}
	j.estimate(ctx)
	files, err := j.divergenceProblems(ctx, c, len(rows) == 0)
	return slices.Concat(out, rows, files), kind, err
}

// awaitHealthyGroups returns the cluster once nothing is wrong with its Raft
// groups, or with their problems after JournalTimeout: an election takes seconds.
// With a silent node it does not wait.
func (j *Job) awaitHealthyGroups(ctx context.Context) (Cluster, error) {
	end := time.Now().Add(j.cfg.Limits.JournalTimeout)
	for {
		c, err := j.cfg.Cluster(ctx)
		silent := len(c.Peers) < c.Expected || slices.ContainsFunc(c.Peers, func(p Peer) bool { return !p.Online })
		if err != nil || len(c.Findings) == 0 || silent || time.Now().After(end) {
			return c, err
		}
		if err := sleep(ctx, j.cfg.Limits.PollInterval); err != nil {
			return c, err
		}
	}
}

// Problems is what keeps the nodes from a migration that the node self runs: preflight lists it, and
// the console before one is started.
func (c Cluster) Problems(self string) []core.Problem {
	var out []core.Problem
	add := func(next, format string, args ...any) {
		out = append(out, core.Problem{Text: fmt.Sprintf(format, args...), Next: next})
	}
	if c.Expected < 2 {
		add("restart it with --cluster-name, --cluster-listen and --routes, and start the other nodes",
			"%s runs alone: without routes there is no replicated store to migrate to", self)
	}
	version := versionOf(c, self)
	for _, p := range c.Peers {
		switch {
		case !p.Online:
			add("start it; every node must follow the migration", "%s does not answer", p.Name)
		case p.JetStreamOff:
			add("free disk space in the data directory of "+p.Name+", restart unibusd there, then start again", "%s", jetStreamOffText([]string{p.Name}))
		case p.Name == self:
		case p.Serving == core.BackendKV:
			add("restart "+p.Name+" with --store sqlite, so that only one control plane serves",
				"%s serves a control plane from KV beside this SQLite file", p.Name)
		case p.Version != "" && version != "" && p.Version != version:
			add("bring every node to the same version first", "%s runs version %s, %s runs %s", p.Name, p.Version, self, version)
		}
	}
	if unheard := c.Expected - len(c.Peers); unheard > 0 {
		add("start them; every configured node must follow the migration", "%s never answered", count(unheard, "configured node"))
	}
	return append(out, c.Findings...) // a silent node causes some of these
}

func versionOf(c Cluster, name string) string {
	for _, p := range c.Peers {
		if p.Name == name {
			return p.Version
		}
	}
	return ""
}

// problemsListed is how many rows of each file preflight names.
const problemsListed = 100

// sourceProblems returns what is wrong with the file; readable is false if nothing
// more can be asked of it.
func (j *Job) sourceProblems(ctx context.Context) (out []core.Problem, readable bool, err error) {
	src := j.source()
	if v := src.SchemaVersion(); v < 1 || v > 3 {
		return []core.Problem{{
			Text: fmt.Sprintf("%s has schema version %d; this program migrates 1 to 3", src.Path(), v),
			Next: "use the version of unibusd that wrote it",
		}}, false, nil
	}
	if fenced, err := src.Fenced(ctx); err != nil {
		return nil, false, err
	} else if fenced {
		return []core.Problem{{
			Text: src.Path() + " is fenced: its control plane was migrated before, and it lacks the changes since then",
			Next: "see where the control plane is with `unibusd migration status`; to start over, serve a file that `unibusd backup` or a rollback has written",
		}}, false, nil
	}
	if err := src.Integrity(ctx); err != nil {
		if core.KindOf(err) == core.KindUnavailable {
			return nil, false, err
		}
		e := core.AsError(err)
		next := e.Next
		if next == "" {
			next = "restore the file from a backup, or let SQLite's .recover write a new one"
		}
		return []core.Problem{{Text: e.Text, Next: next}}, false, nil
	}
	out, err = src.Problems(ctx, problemsListed)
	return out, true, err
}

// awaitJournals returns once every configured node has synced the authority.
func (j *Job) awaitJournals(ctx context.Context, a core.Authority) error {
	ctx, cancel := context.WithTimeout(ctx, j.cfg.Limits.JournalTimeout)
	defer cancel()
	for {
		behind, err := j.nodesBehind(ctx, a)
		if err == nil && len(behind) == 0 {
			return nil
		}
		if sleep(ctx, j.cfg.Limits.PollInterval) == nil {
			continue
		}
		if err != nil {
			return err
		}
		return core.Errorf(core.KindUnavailable, "not every node has recorded that SQLite on %s is the control plane: %s has not", j.cfg.Node, strings.Join(behind, ", ")).
			WithNext("read the log there, then start again or abort")
	}
}

// nodesBehind names the nodes whose journal does not hold a.
func (j *Job) nodesBehind(ctx context.Context, a core.Authority) ([]string, error) {
	c, err := j.cfg.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range c.Peers {
		if p.Name != j.cfg.Node && (p.Journal == nil || *p.Journal != a) {
			out = append(out, p.Name)
		}
	}
	if unheard := c.Expected - len(c.Peers); unheard > 0 {
		out = append(out, count(unheard, "node")+" never heard of")
	}
	return out, nil
}

func (j *Job) backupDir() string {
	if j.cfg.BackupDir != "" {
		return j.cfg.BackupDir
	}
	return filepath.Dir(j.source().Path())
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
