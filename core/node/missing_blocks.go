package node

import (
	"context"
	"slices"
	"time"

	"unibus/core"
	"unibus/core/blockfile"
	"unibus/core/bus"
	"unibus/core/jsapi"
)

// A file of blocks that was removed leaves a gap between the blocks beside it, as deleted
// messages do. Only the server knows which it is, so the node asks it for the first message from
// the beginning of the gap on.

// formerLeader is how long a leader that lost its group may still answer with what the others
// have deleted since.
const formerLeader = 10 * time.Second

// missingBlocks returns the gaps of which the server has messages. It asks the leader: what that
// has up to this node's last sequence, this node must have too. A gap that was found once stays
// found until the node starts again, because a leader forgets what it could not read.
func (n *Node) missingBlocks(ctx context.Context, state bus.StreamState, found blockfile.Report) (missing []blockfile.Gap, err error) {
	leads := state.Group == nil || state.Group.Leader == n.cfg.Name
	var suspected []blockfile.Gap
	defer func() { n.blocks.noteMissing(state.Name, missing) }()
	first := uint64(1) // a server whose first block is missing takes the next one for the beginning
	if state.Expires {
		first = state.FirstSeq
	}
	for _, g := range found.Gaps(first, state.LastSeq) {
		held := slices.ContainsFunc(n.blocks.missing[state.Name], g.Overlaps)
		if !held {
			if held, err = n.serverHas(ctx, state, g, leads); err != nil {
				return missing, err
			}
			if held && !leads {
				suspected = append(suspected, g)
				continue
			}
		}
		if held {
			missing = append(missing, g)
		}
	}
	if len(suspected) > 0 {
		sleep(ctx, formerLeader)
	}
	for _, g := range suspected {
		held, err := n.serverHas(ctx, state, g, false)
		if err != nil {
			return missing, err
		}
		if held {
			missing = append(missing, g)
		}
	}
	return missing, nil
}

// noteMissing is called in turn.
func (r *blockReadings) noteMissing(stream string, gaps []blockfile.Gap) {
	if r.missing == nil {
		r.missing = map[string][]blockfile.Gap{}
	}
	r.missing[stream] = gaps
}

// serverHas is true if the leader has a message in a gap. If this node leads, its server says
// that there is none also where it cannot read the block; then it has one behind the gap.
func (n *Node) serverHas(ctx context.Context, state bus.StreamState, g blockfile.Gap, leads bool) (bool, error) {
	next, err := n.nextMessage(ctx, state.Name, g.First)
	if err != nil || next != 0 || !leads {
		return next != 0 && next <= g.Last, err
	}
	next, err = n.nextMessage(ctx, state.Name, g.Last+1)
	return next != 0 && next <= state.LastSeq, err
}

// nextMessage is the sequence of the first message from one on; 0: there is none.
func (n *Node) nextMessage(ctx context.Context, stream string, from uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	m, found, err := jsapi.Client{Conn: n.conns.store}.Message(ctx, stream, map[string]any{"seq": from, "next_by_subj": ">"})
	if err != nil {
		return 0, core.Errorf(core.KindUnavailable, "the leader of %s does not say whether it has messages that are in no block on this disk: %w", stream, err).
			WithNext("check again when it has a leader: unibusd doctor")
	}
	if !found {
		return 0, nil
	}
	return m.Sequence, nil
}
