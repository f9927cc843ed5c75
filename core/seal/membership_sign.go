package seal

import (
	"maps"
	"slices"

	"unibus/core"
)

// FoundingConfig configures MakeFounding.
type FoundingConfig struct {
	Room      core.RoomID
	By        Signer
	At        core.Millis
	Encrypted bool
	Snapshot  []byte // from MakeSnapshot, for a room that had members before; else nil
}

// MakeFounding signs the founding of a room, the first statement of its chain.
func MakeFounding(cfg FoundingConfig) (*Membership, error) {
	founder, err := signerID(cfg.By)
	if err != nil {
		return nil, err
	}
	if _, err := core.ParseRoomID(string(cfg.Room)); err != nil {
		return nil, err
	}
	s := Statement{Room: cfg.Room, Time: max(cfg.At, 0), Kind: StatementFoundPlain, Role: core.MemberOwner, Subject: founder, Signer: founder}
	if cfg.Encrypted {
		s.Kind = StatementFound
	}
	if cfg.Snapshot != nil {
		s.Ref = stateHash(cfg.Snapshot)
	}
	s, err = s.sign(cfg.By)
	if err != nil {
		return nil, err
	}
	return ReadMembership(MembershipSource{Room: cfg.Room, State: cfg.Snapshot, Statements: [][]byte{s.raw}})
}

// StatementConfig configures Membership.Sign.
type StatementConfig struct {
	Kind    StatementKind
	Subject core.UserID     // "": the signer
	Role    core.MemberRole // of an invitation and a change of role
	By      Signer
	At      core.Millis
	Record  *Record // the newest that the signer has followed; nil: none
}

// Sign signs a statement over the chain's head and does not append it: it counts once
// the node has it. ErrRight if the signer may not do so. After a conflict, follow the
// new statements and sign again.
func (m *Membership) Sign(cfg StatementConfig) (Statement, error) {
	signer, err := signerID(cfg.By)
	if err != nil {
		return Statement{}, err
	}
	s := Statement{
		Room: m.room, Seq: m.head.Seq + 1, Prev: m.head.Hash, Time: max(cfg.At, 0), Epoch: m.epoch, Record: m.record,
		Kind: cfg.Kind, Role: cfg.Role, Subject: cfg.Subject, Signer: signer,
	}
	if s.Subject == "" {
		s.Subject = signer
	}
	if r := cfg.Record; r != nil && r.Epoch > s.Epoch {
		s.Epoch, s.Record = r.Epoch, r.Hash
	}
	switch p := m.people[s.Subject]; s.Kind {
	case StatementAccept:
		s.Role, s.Ref = p.Role, p.ref
	case StatementDecline:
		s.Ref = p.ref
	case StatementCheckpoint:
		s.Ref = stateHash(m.encode())
	}
	if (s.Kind == StatementAccept || s.Kind == StatementDecline) && s.Ref == (Hash{}) {
		return Statement{}, errRight(s, "is not invited")
	}
	if s, err = s.sign(cfg.By); err != nil {
		return Statement{}, err
	}
	if err := m.checkNext(s); err != nil {
		return Statement{}, err
	}
	return s, nil
}

// AnswerConfig configures SignAnswer.
type AnswerConfig struct {
	Invitation Statement // verified
	Head       MembershipHead
	Epoch      core.Epoch // that the statement of the head names
	Record     Hash       // of that epoch
	Accept     bool
	By         Signer
	At         core.Millis
}

// SignAnswer answers an invitation to a room whose members the invited user has not
// been shown: head, epoch and record are what the node says. It proves nothing of what came
// before it, and a false one fits no chain but the node's own. Once it counts, the client reads
// the whole chain.
func SignAnswer(cfg AnswerConfig) (Statement, error) {
	signer, err := signerID(cfg.By)
	if err != nil {
		return Statement{}, err
	}
	i := cfg.Invitation
	if i.Kind != StatementInvite || i.Subject != signer {
		return Statement{}, errInvalid("%s is no invitation of %s", i, signer.Short())
	}
	s := Statement{
		Room: i.Room, Seq: cfg.Head.Seq + 1, Prev: cfg.Head.Hash, Time: max(cfg.At, 0), Epoch: cfg.Epoch, Record: cfg.Record,
		Kind: StatementDecline, Ref: i.Hash, Subject: signer, Signer: signer,
	}
	if cfg.Accept {
		s.Kind, s.Role = StatementAccept, i.Role
	}
	return s.sign(cfg.By)
}

// CheckpointEvery is how many statements come between two checkpoints.
const CheckpointEvery = 1000

// CheckpointDue says whether an owner should append a checkpoint.
func (m *Membership) CheckpointDue() bool {
	if len(m.log) <= CheckpointEvery {
		return false
	}
	recent := m.log[len(m.log)-CheckpointEvery:]
	return !slices.ContainsFunc(recent, func(l logged) bool { return l.kind() == StatementCheckpoint })
}

// State is the encoded state of the members, of which the next checkpoint is.
func (m *Membership) State() []byte { return m.encode() }

// SignAll signs statements of which each follows the one before.
func (m *Membership) SignAll(cfgs ...StatementConfig) ([][]byte, error) {
	next, out := *m, make([][]byte, 0, len(cfgs))
	next.log = slices.Clip(m.log) // what is appended to the copy is not appended to the chain
	if len(cfgs) > 1 {
		next.people = maps.Clone(m.people)
	}
	for i, cfg := range cfgs {
		s, err := next.Sign(cfg)
		if err != nil {
			return nil, err
		}
		if out = append(out, s.raw); i == len(cfgs)-1 {
			break
		}
		if err := next.follow(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}
