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

// runRevoke revokes the selected users one after the other, and says what became
// of their sessions and which rooms need a new key, of those too that were
// revoked before one failed.
func runRevoke(ctx context.Context, c Client, s State, _ []string) (string, error) {
	var all []admin.Revoked
	done, err := eachUser(ctx, s, core.UserRevoked, "revoked", func(ctx context.Context, id string) (core.User, error) {
		r, err := c.Revoke(ctx, id)
		if err == nil {
			all = append(all, r)
		}
		return r.User, err
	})
	if len(all) == 0 {
		return "", err
	}
	p := prove(all)
	calm := len(p.unknown) == 0 && len(p.rooms) == 0 && len(p.notes) == 0
	if calm {
		return done + "; " + strings.Join(p.sessions(), ", "), err
	}
	return strings.Join(append([]string{done}, p.lines(s)...), "\n"), err
}

// proof is what several revocations did, added up.
type proof struct {
	nodes   map[string]*onNode
	unknown []string // nodes that did not say, in order
	rooms   []string
	notes   []string
	users   int
}

// onNode is what became of the users' sessions on one node.
type onNode struct {
	ended   int
	slowest core.Millis // after the revocation; -1 where the clocks tell no time
	reason  string      // why it is unknown; "" where it is known
}

// clocks is how long after a revocation a session is believed to have ended:
// more, or less than nothing, is two nodes' clocks that disagree.
const clocks = core.Millis(10_000)

func prove(all []admin.Revoked) proof {
	p := proof{nodes: map[string]*onNode{}, users: len(all)}
	for _, r := range all {
		for name, e := range r.Nodes {
			if p.nodes[name] == nil {
				p.nodes[name] = &onNode{}
			}
			p.nodes[name].add(e, r.Updated)
		}
		for _, room := range r.Rekey {
			p.rooms = append(p.rooms, string(room))
		}
		if r.Note != "" {
			p.notes = append(p.notes, r.Note)
		}
	}
	for _, name := range sortedKeys(p.nodes) {
		if p.nodes[name].reason != "" {
			p.unknown = append(p.unknown, name)
		}
	}
	slices.Sort(p.rooms)
	p.rooms = slices.Compact(p.rooms)
	slices.Sort(p.notes)
	p.notes = slices.Compact(p.notes)
	return p
}

func (n *onNode) add(e admin.Ended, revoked core.Millis) {
	switch {
	case e.Unknown && e.Reason == "":
		n.reason = "it did not answer"
	case e.Unknown:
		n.reason = e.Reason
	case e.Ended > 0:
		n.ended += e.Ended
		after := e.At - revoked
		if after < 0 || after > clocks || n.slowest < 0 {
			n.slowest = -1
			return
		}
		n.slowest = max(n.slowest, after)
	}
}

// sessions says per node what became of the sessions, the nodes that did not say left out.
func (p proof) sessions() []string {
	var out []string
	for _, name := range sortedKeys(p.nodes) {
		n := p.nodes[name]
		switch {
		case n.reason != "":
		case n.ended == 0:
			out = append(out, name+": no session")
		case n.slowest < 0:
			out = append(out, fmt.Sprintf("%s: %s ended", name, widget.Plural(n.ended, "session", "sessions")))
		default:
			out = append(out, fmt.Sprintf("%s: %s ended in %s ms", name, widget.Plural(n.ended, "session", "sessions"), widget.Count(int(n.slowest))))
		}
	}
	return out
}

const shownRooms = 6

func (p proof) lines(s State) []string {
	they := "this user"
	if p.users > 1 {
		they = "these users"
	}
	out := p.sessions()
	for _, name := range p.unknown {
		out = append(out, fmt.Sprintf("%s: unknown, %s. Sessions may still be open there.", name, strings.TrimSuffix(p.nodes[name].reason, ".")))
	}
	if n := len(p.rooms); n > 0 {
		needs := "1 encrypted room needs"
		if n > 1 {
			needs = widget.Count(n) + " encrypted rooms need"
		}
		line := fmt.Sprintf("%s a new key, for %s can read the old one: %s", needs, they, strings.Join(p.rooms[:min(n, shownRooms)], ", "))
		if n > shownRooms {
			line += fmt.Sprintf(" and %s more", widget.Count(n-shownRooms))
		}
		out = append(out, line)
	}
	for _, note := range p.notes {
		out = append(out, widget.Clean(note))
	}
	switch { // a revocation may be repeated
	case len(p.unknown) > 0 || len(p.notes) > 0:
		out = append(out, "Do: ask again once every node answers: "+s.again())
	case len(p.rooms) > shownRooms:
		out = append(out, "All of them: "+s.again())
	}
	return out
}

// again is the command that says it all once more.
func (s State) again() string {
	line := each(s, "unibusd user revoke")
	if s.Flags != "" {
		line += " " + s.Flags
	}
	return line
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
