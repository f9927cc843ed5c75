package action

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/tui/widget"
)

// nodeFence is one half of a rescue. Its name is typed: only the operator can know that the
// machine never runs again.
func nodeFence() Action {
	return Action{
		Name: "node fence", Key: "F", IsRare: true, Scope: PageNodes, ArgumentKind: KindNode, Confirmation: TypeObjectName, NeedsNoQuorum: always,
		Help: "without a majority: refuse a node that is lost for good",
		Unavailable: func(s Input) string {
			name := s.Selected.only(KindNode)
			if name == "" {
				return nothingSelected(KindNode)
			}
			return reason(cluster.FenceUnsafe(s.Snapshot.Status.Value.View, name))
		},
		Question: func(s Input) Question {
			name := s.Selected.only(KindNode)
			return Question{
				Title: fmt.Sprintf("Fence %s for good?", name), ConfirmLabel: "Fence", TypedWord: name,
				Lines: []string{
					fmt.Sprintf("Make sure that the machine of %s is off and cannot start again. If it ran again, there would be two clusters, and each would take writes that the other never sees.", name),
					"A fence cannot be undone. If the disk can be brought back, do that instead: it loses nothing.",
				},
			}
		},
		Command: func(s Input, _ []string) string {
			return "unibusd node fence " + core.ShellQuote(s.Selected.only(KindNode))
		},
		Run: func(ctx context.Context, c Client, s Input, _ []string) (string, error) {
			out, err := c.NodeFence(ctx, s.Selected.only(KindNode))
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%s is refused by %s from now on.", out.Name, strings.Join(out.Told, ", ")), nil
		},
	}
}

// nodeRescue is the other half. The number of nodes that are left is typed, and compared.
func nodeRescue() Action {
	return Action{
		Name: "node rescue", Key: "L", Hint: "lower the quorum", IsRare: true, Scope: PageNodes, Confirmation: TypeClusterName, NeedsNoQuorum: always,
		Help: "without a majority: lower the quorum to the nodes that are left, and remove the fenced ones",
		Unavailable: func(s Input) string {
			v := s.Snapshot.Status.Value.View
			return reason(cluster.RescueUnsafe(v, len(v.Survivors())))
		},
		Question: func(s Input) Question {
			v := s.Snapshot.Status.Value.View
			return Question{
				Title: "Go on without the fenced nodes?", ConfirmLabel: "Rescue",
				Lines: []string{
					fmt.Sprintf("%d of %d members of the meta group are left: %s. All of them must agree, so the quorum is their number.", len(v.Survivors()), v.Meta.Size, strings.Join(v.Survivors(), ", ")),
					fmt.Sprintf("%s are removed, one after the other. Changes that only they had are gone, revocations too.", strings.Join(v.Fenced(), ", ")),
				},
				Fields: []widget.Field{{Label: "quorum", Check: func(text string) error {
					n, err := strconv.Atoi(text)
					if err != nil {
						return core.Errorf(core.KindInvalid, "Enter the number of nodes that are left.")
					}
					return cluster.RescueUnsafe(v, n)
				}}},
			}
		},
		Command: func(_ Input, v []string) string {
			return "unibusd node rescue --quorum " + core.ShellQuote(cmp.Or(v[0], "N"))
		},
		Run: func(ctx context.Context, c Client, _ Input, v []string) (string, error) {
			n, err := strconv.Atoi(v[0])
			if err != nil {
				return "", core.Errorf(core.KindInvalid, "%q is not a number of nodes", v[0])
			}
			out, err := c.NodeRescue(ctx, n)
			if err != nil {
				return "", err
			}
			return strings.TrimSpace(fmt.Sprintf("%s %s were removed. The meta group has %d members, and needs %d of them. Go on: :guide rescue", cluster.LossSentences(out.Node, out.Loss), strings.Join(out.Removed, ", "), out.Meta.Size, out.Meta.Needed)), nil
		},
	}
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return core.AsError(err).Text
}
