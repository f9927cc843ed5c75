package admin

import (
	"context"

	"unibus/core"
	"unibus/core/seal"
)

// RoomStatementsRequest asks for a page of the statements that the members of a room
// signed about its members.
type RoomStatementsRequest struct {
	ID     string `json:"id"`
	Offset int    `json:"offset,omitempty"`
	Limit  int    `json:"limit,omitempty"` // 0: maxStatementsPage, which is the most
}

// RoomStatements is a page of what one node keeps, by number. Nothing of it was verified
// there: the reader does that.
type RoomStatements struct {
	Node       string      `json:"node"`
	Room       core.RoomID `json:"room"`
	Total      int         `json:"total"`
	Offset     int         `json:"offset"`
	Snapshot   []byte      `json:"snapshot,omitzero"` // of a founding that has one, with the first statement
	Statements [][]byte    `json:"statements"`
}

// maxStatementsPage bounds an answer to about half of what a message may have.
const maxStatementsPage = 1000

// ChainSummary is the chain of a room in a few lines, as the node that answers reads it.
type ChainSummary struct {
	Node       string          `json:"node"`
	Statements uint64          `json:"statements"` // 0: its members sign nothing, and the servers name them
	Founder    core.UserID     `json:"founder,omitempty"`
	Newest     ChainEntry      `json:"newest"`
	Number     seal.RoomNumber `json:"safety_number"`
	Fault      string          `json:"fault,omitempty"` // why the node cannot read it as one chain
}

// ChainEntry is one statement: who did what to whom, and when, by the signer's own clock.
type ChainEntry struct {
	Seq     uint64          `json:"seq"`
	What    string          `json:"what"`
	Role    core.MemberRole `json:"role,omitempty"`
	Subject core.UserID     `json:"subject"`
	Signer  core.UserID     `json:"signer"`
	At      core.Millis     `json:"at"`
}

// ChainEntryOf is a statement as operators see it.
func ChainEntryOf(s seal.Statement) ChainEntry {
	return ChainEntry{Seq: s.Seq, What: s.Kind.String(), Role: s.Role, Subject: s.Subject, Signer: s.Signer, At: s.Time}
}

// roomStatements is a page of a room's statements.
func (s *Service) roomStatements(ctx context.Context, _ core.Operator, req RoomStatementsRequest) (any, error) {
	if req.Offset < 0 || req.Limit < 0 || req.Limit > maxStatementsPage {
		return nil, core.Errorf(core.KindInvalid, "%d statements from %d on: a page has at most %d, and begins at 0 or later", req.Limit, req.Offset, maxStatementsPage)
	}
	if req.Limit == 0 {
		req.Limit = maxStatementsPage
	}
	id, proofs, err := s.proofsOf(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	all := seal.StatementsOfProofs(proofs, 0, maxStatements)
	begin := min(req.Offset, len(all))
	var snapshot []byte
	if begin == 0 {
		if snapshot = seal.SnapshotOfProofs(proofs); snapshot != nil {
			req.Limit = min(req.Limit, maxStatementsWithFounding)
		}
	}
	return RoomStatements{
		Node: s.cfg.Node, Room: id, Total: len(all), Offset: begin, Snapshot: snapshot, Statements: all[begin:min(begin+req.Limit, len(all))],
	}, nil
}

// maxStatementsWithFounding is how many statements come with the members that a room was founded
// anew with: these may have 640 KiB.
const maxStatementsWithFounding = 100

// maxStatements is more than the statements of any room.
const maxStatements = 1 << 31

// proofsOf are the proofs of all rows of a room, of removed members too.
func (s *Service) proofsOf(ctx context.Context, room string) (id core.RoomID, proofs [][]byte, err error) {
	if id, err = core.ParseRoomID(room); err != nil {
		return "", nil, err
	}
	st, err := s.cfg.Store.Store()
	if err != nil {
		return "", nil, err
	}
	if _, err := st.Room(ctx, id); err != nil {
		return "", nil, err
	}
	rows, err := st.RoomMembers(ctx, id)
	for _, m := range rows {
		proofs = append(proofs, m.Proof)
	}
	return id, proofs, err
}

// chainOf is the summary of an encrypted room's chain, without statements where its
// members sign nothing; nil for a plain room. The rows are read, and their signatures are not verified: each one was before it was kept.
func (s *Service) chainOf(ctx context.Context, room core.Room) (*ChainSummary, error) {
	if !room.Encrypted {
		return nil, nil
	}
	_, proofs, err := s.proofsOf(ctx, string(room.ID))
	if err != nil {
		return nil, err
	}
	newest, found := seal.HeadOfProofs(proofs)
	if !found {
		return &ChainSummary{Node: s.cfg.Node}, nil
	}
	if known := s.chains.get(room.ID, newest.Hash); known != nil {
		return known, nil
	}
	out := &ChainSummary{Node: s.cfg.Node, Statements: newest.Seq + 1, Newest: ChainEntryOf(newest)}
	chain, err := seal.MembershipOfProofs(room.ID, proofs)
	switch {
	case err != nil:
		out.Fault = core.AsError(err).Text
		return out, nil // and looked at again: it may be repaired
	case chain != nil:
		out.Number = chain.Number()
		out.Founder, _ = chain.Founder()
	}
	s.chains.put(room.ID, newest.Hash, out)
	return out, nil
}
