package action

import (
	"context"
	"fmt"
	"slices"

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
			Command:  func(_ Input, v []string) string { return "unibusd node add " + v[0] },
			Run: func(ctx context.Context, c Client, _ Input, v []string) (string, error) {
				out, err := c.NodeAdd(ctx, v[0])
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("%s is accepted. Start unibusd on its machine with --name %s, and --routes to the nodes that run.", out.Name, out.Name), nil
			},
		},
		{
			Name: "node remove", Key: "x", Scope: "nodes", ArgumentKind: KindNode, Confirmation: TypeObjectName,
			Help:        "take a node that is down out of every group, for good",
			Unavailable: nodeRemoveUnavailable,
			Question:    nodeRemoveQuestion,
			Command:     func(s Input, _ []string) string { return "unibusd node remove " + s.Selected.only(KindNode) },
			Run: func(ctx context.Context, c Client, s Input, _ []string) (string, error) {
				out, err := c.NodeRemove(ctx, s.Selected.only(KindNode))
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("%s was removed. The meta group has %d members, and needs %d of them.", out.Name, out.Meta.Size, out.Meta.Needed), nil
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
	if err := cluster.RemovalUnsafe(s.Snapshot.Status.Value.View, name); err != nil {
		return core.AsError(err).Text
	}
	return ""
}
