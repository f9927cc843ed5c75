package action

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/widget"
)

// runRevoke revokes the selected users one after the other. Its text covers the
// users that were revoked before an error, too.
func runRevoke(ctx context.Context, c Client, s Input, _ []string) (string, error) {
	var revoked []admin.Revoked
	done, err := changeUsers(ctx, s, core.UserRevoked, "revoked", func(ctx context.Context, id string) (core.User, error) {
		r, err := c.Revoke(ctx, id)
		if err == nil {
			revoked = append(revoked, r)
		}
		return r.User, err
	})
	if len(revoked) == 0 {
		return "", err
	}
	report := summarizeRevocations(revoked)
	complete := len(report.unknown) == 0 && len(report.rooms) == 0 && len(report.notes) == 0
	if complete {
		return done + "; " + strings.Join(report.sessionLines(), ", "), err
	}
	return strings.Join(append([]string{done}, report.reportLines(s)...), "\n"), err
}

// revocationReport sums up several revocations.
type revocationReport struct {
	nodes   map[string]*nodeSessions
	unknown []string // nodes without an answer, sorted
	rooms   []string
	notes   []string
	users   int
}

// nodeSessions is what happened to the users' sessions on one node.
type nodeSessions struct {
	ended   int
	slowest core.Millis // after the revocation; -1 if the clocks disagree
	reason  string      // why the node's answer is unknown, "" if it is known
}

// maxClockSkew is the longest credible time between a revocation and the end of a
// session. Longer or negative times mean that two nodes' clocks disagree.
const maxClockSkew = core.Millis(10_000)

func summarizeRevocations(all []admin.Revoked) revocationReport {
	report := revocationReport{nodes: map[string]*nodeSessions{}, users: len(all)}
	for _, r := range all {
		for name, e := range r.Nodes {
			if report.nodes[name] == nil {
				report.nodes[name] = &nodeSessions{}
			}
			report.nodes[name].add(e, r.Updated)
		}
		for _, room := range r.Rekey {
			report.rooms = append(report.rooms, string(room))
		}
		if r.Note != "" {
			report.notes = append(report.notes, r.Note)
		}
	}
	for _, name := range sortedKeys(report.nodes) {
		if report.nodes[name].reason != "" {
			report.unknown = append(report.unknown, name)
		}
	}
	slices.Sort(report.rooms)
	report.rooms = slices.Compact(report.rooms)
	slices.Sort(report.notes)
	report.notes = slices.Compact(report.notes)
	return report
}

func (n *nodeSessions) add(e admin.Ended, revoked core.Millis) {
	switch {
	case e.Unknown && e.Reason == "":
		n.reason = "it did not answer"
	case e.Unknown:
		n.reason = e.Reason
	case e.Ended > 0:
		n.ended += e.Ended
		after := e.At - revoked
		if after < 0 || after > maxClockSkew || n.slowest < 0 {
			n.slowest = -1
			return
		}
		n.slowest = max(n.slowest, after)
	}
}

// sessionLines say per node what happened to the sessions. Nodes without an
// answer are left out.
func (r revocationReport) sessionLines() []string {
	var out []string
	for _, name := range sortedKeys(r.nodes) {
		n := r.nodes[name]
		switch {
		case n.reason != "":
		case n.ended == 0:
			out = append(out, name+": no session")
		case n.slowest < 0:
			out = append(out, fmt.Sprintf("%s: %s ended", name, widget.Plural(n.ended, "session", "sessions")))
		default:
			out = append(out, fmt.Sprintf("%s: %s ended in %s ms", name, widget.Plural(n.ended, "session", "sessions"), widget.FormatCount(int(n.slowest))))
		}
	}
	return out
}

const maxListedRooms = 6

func (r revocationReport) reportLines(s Input) []string {
	users := "this user"
	if r.users > 1 {
		users = "these users"
	}
	out := r.sessionLines()
	for _, name := range r.unknown {
		out = append(out, fmt.Sprintf("%s: unknown, %s. Sessions may still be open there.", name, strings.TrimSuffix(r.nodes[name].reason, ".")))
	}
	if n := len(r.rooms); n > 0 {
		needs := "1 encrypted room needs"
		if n > 1 {
			needs = widget.FormatCount(n) + " encrypted rooms need"
		}
		line := fmt.Sprintf("%s a new key, because %s can read the old one: %s", needs, users, strings.Join(r.rooms[:min(n, maxListedRooms)], ", "))
		if n > maxListedRooms {
			line += fmt.Sprintf(" and %s more", widget.FormatCount(n-maxListedRooms))
		}
		out = append(out, line)
	}
	for _, note := range r.notes {
		out = append(out, widget.Sanitize(note))
	}
	switch { // a revocation may be repeated
	case len(r.unknown) > 0 || len(r.notes) > 0:
		out = append(out, "Do: repeat this once every node answers: "+s.repeatCommand())
	case len(r.rooms) > maxListedRooms:
		out = append(out, "To list all: "+s.WithFlags("unibusd room list"))
	}
	return out
}

// repeatCommand is the command that repeats the revocation, which is harmless.
func (s Input) repeatCommand() string {
	return s.forEachUser(s.WithFlags(perUserCommand(s, "unibusd user revoke")))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
