package node

import (
	"context"
	"iter"

	"unibus/core"
	"unibus/core/migrate"
)

// PeerRows asks a node, this one or another, for its file as preflight does.
func (n *Node) PeerRows(ctx context.Context, node string, t core.Table) iter.Seq2[migrate.RowDigest, error] {
	return n.peerRows(ctx, node, t)
}

// PeerProblems asks a node which rows of its file cannot be converted.
func (n *Node) PeerProblems(ctx context.Context, node string, limit int) ([]core.Problem, error) {
	return n.peerProblems(ctx, node, limit)
}
