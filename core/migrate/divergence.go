package migrate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strings"

	"unibus/core"
)

// divergenceProblems compares the SQLite files of the other nodes with the source.
// A file stops the migration if it holds what the source lacks, unless the
// operator has chosen to ignore that node.
func (j *Job) divergenceProblems(ctx context.Context, c Cluster, sourceReadable bool) ([]core.Problem, error) {
	ignored := j.Status().Options.IgnoredNodes
	var out []core.Problem
	var divergences []Divergence
	for _, p := range c.Peers {
		if p.Name == j.cfg.Node || p.File == "" || !p.Online { // a silent node is a problem already
			continue
		}
		if err := j.checkInterrupted(ctx); err != nil {
			return nil, err
		}
		d, bad, err := j.compareFile(ctx, p, sourceReadable)
		if err != nil {
			return nil, err
		}
		d.Ignored = slices.Contains(ignored, p.Name)
		if divergences = append(divergences, d); !d.Ignored {
			out = append(out, bad...)
		}
		j.updateStatus(func(s *Status) { s.Divergences = slices.Clone(divergences) })
	}
	return out, nil
}

// compareFile compares one file. The error is the source's or that of ctx.
// Problems with the other file are returned as problems.
func (j *Job) compareFile(ctx context.Context, p Peer, sourceReadable bool) (Divergence, []core.Problem, error) {
	d := Divergence{Node: p.Name, File: p.File, Tables: []TableDivergence{}}
	var cause error
	if !sourceReadable {
		d.Error = "not compared: rows of the source cannot be converted"
		return d, nil, nil // those rows stop the migration already
	}
	for _, t := range fileTables() {
		if cause != nil {
			break
		}
		td, theirs, err := j.compareFileTable(ctx, p.Name, t)
		if err != nil {
			return d, nil, err
		}
		d.Tables, cause = append(d.Tables, td), theirs
	}
	if cause != nil {
		d.Error = core.AsError(cause).Text
		return d, j.unreadableProblems(ctx, p, cause), nil
	}
	if p := divergenceProblem(d, j.statusToRecord().Active()); p != nil {
		return d, []core.Problem{*p}, nil
	}
	return d, nil, nil
}

// compareFileTable compares one table. theirs is why the other node's rows ended
// early; err is the source's.
func (j *Job) compareFileTable(ctx context.Context, node string, t core.Table) (td TableDivergence, theirs, err error) {
	ours, stopped := digestRows(j.source().Rows(ctx, t))
	there, failed := rowsOfDigests(t, j.cfg.PeerRows(ctx, node, t))
	var here, only, different []string
	td.Table = t
	err = merge(ours, there, func(p pair) error {
		switch {
		case p.missing():
			td.OnlyHere++
			here = appendLimited(here, "here/"+p.key)
		case p.extra():
			td.OnlyThere++
			only = appendLimited(only, "there/"+p.key)
		case !p.equal():
			td.Different++
			different = appendLimited(different, "different/"+p.key)
		}
		return ctx.Err()
	})
	// Keys that would be lost come first.
	td.Keys = slices.Concat(only, different, here)
	td.Keys = td.Keys[:min(len(td.Keys), MaxListed)]
	switch {
	case err == nil:
		return td, nil, nil
	case ctx.Err() != nil:
		return td, nil, ctx.Err()
	case *stopped != nil:
		return td, nil, *stopped
	case *failed != nil:
		return td, *failed, nil
	}
	return td, err, nil // out of order
}

// digestRows replaces each value by its SHA-256, and keeps the error that ended
// the rows.
func digestRows(rows iter.Seq2[core.Row, error]) (iter.Seq2[core.Row, error], *error) {
	var end error
	return func(yield func(core.Row, error) bool) {
		for r, err := range rows {
			sum := sha256.Sum256(r.Value)
			r.Value, end = sum[:], err
			if !yield(r, err) {
				return
			}
		}
	}, &end
}

// rowsOfDigests turns another node's digests into rows, and keeps the error that
// ended them.
func rowsOfDigests(t core.Table, sums iter.Seq2[RowDigest, error]) (iter.Seq2[core.Row, error], *error) {
	var end error
	return func(yield func(core.Row, error) bool) {
		for s, err := range sums {
			end = err
			if !yield(core.Row{Table: t, Key: s.Key, Value: s.SHA256[:]}, err) {
				return
			}
		}
	}, &end
}

// unreadableProblems says why a file could not be compared completely. It names
// the rows that cannot be converted, if that is the reason.
func (j *Job) unreadableProblems(ctx context.Context, p Peer, cause error) []core.Problem {
	e := core.AsError(cause)
	var rows []core.Problem
	if e.Kind != core.KindUnavailable {
		rows, _ = j.cfg.PeerProblems(ctx, p.Name, problemsListed) // the cause above says enough if this fails
	}
	if len(rows) == 0 {
		next := "start again"
		if before := strings.TrimSuffix(e.Next, ";"); before != "" {
			next = before + "; then start again"
		}
		return []core.Problem{{
			Text: fmt.Sprintf("the SQLite file of %s, %s, could not be compared with the source: %s", p.Name, p.File, e.Text),
			Next: next + ". To leave that file behind unread, start again with --ignore-node " + p.Name,
		}}
	}
	out := []core.Problem{{
		Text: fmt.Sprintf("the SQLite file of %s, %s, could not be compared with the source: %s cannot be converted", p.Name, p.File, atLeast(len(rows))),
		Next: "repair those rows on " + p.Name + ", or leave the file behind: start again with --ignore-node " + p.Name,
	}}
	for _, r := range rows {
		r.Text = "on " + p.Name + ": " + r.Text
		out = append(out, r)
	}
	return out
}

func atLeast(rows int) string {
	if rows >= problemsListed {
		return "at least " + count(rows, "row")
	}
	return count(rows, "row")
}

// divergenceProblem is the problem of a file with rows that the source lacks; nil if it
// holds nothing else. started is true if a migration of this node has started, which
// must be aborted before another node can start one.
func divergenceProblem(d Divergence, started bool) *core.Problem {
	var parts []string
	for _, t := range d.Tables {
		var words []string
		if t.OnlyThere > 0 {
			words = append(words, fmt.Sprintf("%d only there", t.OnlyThere))
		}
		if t.Different > 0 {
			words = append(words, fmt.Sprintf("%d different", t.Different))
		}
		if len(words) > 0 {
			parts = append(parts, string(t.Table)+" "+strings.Join(words, " and "))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	first := ""
	if started {
		first = "`unibusd migration abort`, then "
	}
	return &core.Problem{
		Text: fmt.Sprintf("%s has a SQLite file of its own, %s, which differs from the source: %s; a migration would leave these rows behind", d.Node, d.File, strings.Join(parts, ", ")),
		Next: fmt.Sprintf("choose which file to keep. To migrate that one instead: %s`unibusd migrate-to-kv --node %s --db %s`. "+
			"To leave its rows behind, start again with --ignore-node %s. Or change the files until the source has all of its rows", first, d.Node, d.File, d.Node),
	}
}

// ignoredNodeProblems are names in --ignore-node that have no file to ignore.
func ignoredNodeProblems(c Cluster, self string, ignored []string) []core.Problem {
	var out []core.Problem
	for _, name := range ignored {
		i := slices.IndexFunc(c.Peers, func(p Peer) bool { return p.Name == name })
		text := ""
		switch {
		case name == self:
			text = name + " is the node whose file is migrated: it cannot be ignored"
		case i < 0:
			text = fmt.Sprintf("--ignore-node names %q, and there is no node of this name", name)
		case c.Peers[i].Online && c.Peers[i].File == "":
			text = fmt.Sprintf("--ignore-node names %s, which has no SQLite file", name)
		}
		if text != "" {
			out = append(out, core.Problem{Text: text, Next: "name only nodes whose own files you leave behind; this lists them: `unibusd migrate-to-kv --dry-run --db FILE`"})
		}
	}
	return out
}
