package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/widget"
)

func nodeActions() []Action {
	return []Action{
		{
			Name: "node add", Key: "a", Scope: "nodes", Confirmation: YesNo,
			Help:     "accept a node of a new name",
			Question: nodeAddQuestion,
			Command:  func(_ Input, v []string) string { return "unibusd node add " + core.ShellQuote(cmp.Or(v[0], "NAME")) },
			Run: func(ctx context.Context, c Client, _ Input, v []string) (string, error) {
				out, err := c.NodeAdd(ctx, v[0])
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("%s is accepted. Start unibusd on its machine with --name %s, and --routes to the nodes that run.", out.Name, out.Name), nil
			},
		},
		{
			Name: "node remove", Key: "X", Scope: "nodes", ArgumentKind: KindNode, Confirmation: TypeObjectName,
			Help:        "take a node that is down or drained out of every group, for good",
			Unavailable: nodeRemoveUnavailable,
			Question:    nodeRemoveQuestion,
			Command: func(s Input, _ []string) string {
				return "unibusd node remove " + core.ShellQuote(s.Selected.only(KindNode))
			},
			Run: func(ctx context.Context, c Client, s Input, _ []string) (string, error) {
				out, err := c.NodeRemove(ctx, s.Selected.only(KindNode))
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("%s was removed. The meta group has %d members, and needs %d of them.", out.Name, out.Meta.Size, out.Meta.Needed), nil
			},
		},
		nodeDrainAction(),
		{
			Name: "node resume", Key: "u", Scope: PageNodes, ArgumentKind: KindNode, Confirmation: YesNo,
			Help:        "end the maintenance of a node before its time",
			Unavailable: nodeResumeUnavailable,
			Undo:        undoOnSame("node drain", "drains it again"),
			Question: func(s Input) Question {
				m, _ := s.Snapshot.Status.Value.InMaintenance(s.Selected.only(KindNode))
				return Question{
					Title: fmt.Sprintf("End the maintenance of %s?", m.Node), ConfirmLabel: "Resume",
					Lines: []string{cluster.MaintenanceText(m, s.Now) + ".", "Users may connect there again, and elections may let it lead."},
				}
			},
			Command: func(s Input, _ []string) string {
				return "unibusd node resume " + core.ShellQuote(s.Selected.only(KindNode))
			},
			Run: func(ctx context.Context, c Client, s Input, _ []string) (string, error) {
				out, err := c.NodeResume(ctx, s.Selected.only(KindNode))
				if err != nil {
					return "", err
				}
				return out.Node + " is in maintenance no more.", nil
			},
		},
	}
}

func nodeAddQuestion(s Input) Question {
	return Question{
		Title: "Accept a node of a new name?", ConfirmLabel: "Add",
		Lines: []string{
			"Every node lets a server with this name, and a certificate for it, have a route. Start unibusd on its machine afterward.",
			"A name that a node had before cannot be used again.",
		},
		Fields: []widget.Field{{Label: "name", Check: func(v string) error {
			if _, err := core.ParseNodeName(v); err != nil {
				return err
			}
			if slices.ContainsFunc(s.Snapshot.Status.Value.Nodes, func(n cluster.Node) bool { return n.Name == v }) {
				return core.Errorf(core.KindExists, "%s is a node of this cluster already.", v)
			}
			return nil
		}}},
	}
}

func nodeRemoveQuestion(s Input) Question {
	name, v := s.Selected.only(KindNode), s.Snapshot.Status.Value
	left := max(1, v.Meta.Size-1)
	return Question{
		Title: fmt.Sprintf("Remove %s from the cluster for good?", name), ConfirmLabel: "Remove", TypedWord: name,
		Lines: []string{
			fmt.Sprintf("The meta group will have %s and need %d of them. Replicas of %s are created on other nodes, where there are enough.",
				widget.Plural(left, "member", "members"), left/2+1, name),
			fmt.Sprintf("The name %s is refused from then on. If the machine comes back, it needs another name.", name),
		},
	}
}

func nodeRemoveUnavailable(s Input) string {
	name := s.Selected.only(KindNode)
	if name == "" {
		return nothingSelected(KindNode)
	}
	if err := cluster.RemovalRefused(s.Snapshot.Status.Value.View, name); err != nil {
		return core.AsError(err).Text
	}
	return ""
}

func nodeDrainAction() Action {
	return Action{
		Name: "node drain", Key: "o", Scope: PageNodes, ArgumentKind: KindNode, Confirmation: YesNo,
		Help:        "have a node lead nothing and serve no users for a while",
		Unavailable: nodeDrainUnavailable,
		Undo:        undoOnSame("node resume", "ends the maintenance"),
		Question:    nodeDrainQuestion,
		Command: func(s Input, v []string) string {
			return "unibusd node drain " + core.ShellQuote(s.Selected.only(KindNode)) + " --for " + core.ShellQuote(cmp.Or(v[0], "DURATION"))
		},
		Run: func(ctx context.Context, c Client, s Input, v []string) (string, error) {
			last, err := parseMaintenance(v[0])
			if err != nil {
				return "", err
			}
			out, err := c.NodeDrain(ctx, s.Selected.only(KindNode), last)
			if err != nil {
				return "", err
			}
			text := cluster.MaintenanceText(out.Maintenance, s.Now) + "."
			if out.Pending != "" {
				text += " Not everything has left yet: " + out.Pending + "."
			}
			return text, nil
		},
	}
}

func parseMaintenance(text string) (time.Duration, error) {
	last, err := time.ParseDuration(text)
	if err != nil {
		return 0, core.Errorf(core.KindInvalid, "%q is not a duration. Enter one such as 30m or 2h.", text)
	}
	return last, core.CheckMaintenance(last)
}

func nodeDrainQuestion(s Input) Question {
	name, v := s.Selected.only(KindNode), s.Snapshot.Status.Value.View
	left := cluster.DrainStateOf(v, name)
	replicas := "Its replicas move to nodes that have none."
	if len(left.Moving) == 0 {
		replicas = "Its replicas stay, because no other node could take them."
	}
	return Question{
		Title: fmt.Sprintf("Drain %s for maintenance?", name), ConfirmLabel: "Drain",
		Lines: []string{
			"Other nodes lead its groups, its sessions of users end, and new ones are turned away until the maintenance ends. " + replicas,
			cluster.Impact(v, name),
		},
		Fields: []widget.Field{{Label: "for", Value: "2h", Check: func(v string) error {
			_, err := parseMaintenance(v)
			return err
		}}},
	}
}

func nodeDrainUnavailable(s Input) string {
	name := s.Selected.only(KindNode)
	if name == "" {
		return nothingSelected(KindNode)
	}
	if err := cluster.DrainUnsafe(s.Snapshot.Status.Value.View, name); err != nil {
		return core.AsError(err).Text
	}
	return ""
}

func nodeResumeUnavailable(s Input) string {
	name := s.Selected.only(KindNode)
	if name == "" {
		return nothingSelected(KindNode)
	}
	if _, ok := s.Snapshot.Status.Value.InMaintenance(name); !ok {
		return name + " is not in maintenance"
	}
	return ""
}
