package control

import (
	"testing"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/seal"
)

// rowsOfARoom appends statements to the rows of an encrypted room, as the service does.
type rowsOfARoom struct {
	t    *testing.T
	room core.Room
	p    *appender
}

func newRowsOfARoom(t *testing.T, owner keys.Identity, others ...keys.Identity) *rowsOfARoom {
	t.Helper()
	room := core.Room{ID: "plans", Encrypted: true, State: core.RoomActive, Owner: core.UserID(owner.Public())}
	m := must[*seal.Membership](t)(seal.MakeFounding(seal.FoundingConfig{Room: room.ID, By: owner, At: 1, Encrypted: true}))
	first := must[seal.Statement](t)(seal.VerifyStatement(room.ID, m.Statements(0)[0]))
	rows := []core.Member{{Room: room.ID, User: room.Owner, Role: core.MemberOwner, State: core.MemberActive, Proof: seal.AppendProof(nil, first)}}
	for _, id := range others {
		rows = append(rows, core.Member{Room: room.ID, User: core.UserID(id.Public()), State: core.MemberRemoved})
	}
	return &rowsOfARoom{t, room, must[*appender](t)(newAppender(&seal.ProofCache{}, room, rows, 1))}
}

// say signs a statement over the head and appends it. A refused one is in the chain and in no
// row: it is the last thing that a test does with the chain.
func (r *rowsOfARoom) say(cfg seal.StatementConfig) error {
	r.t.Helper()
	cfg.At = 1
	_, err := r.p.append([]seal.Statement{must[seal.Statement](r.t)(r.p.chain.Sign(cfg))})
	return err
}

func (r *rowsOfARoom) mustSay(cfg seal.StatementConfig) {
	r.t.Helper()
	if err := r.say(cfg); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rowsOfARoom) proof(id keys.Identity) []byte { return r.p.rows[core.UserID(id.Public())].Proof }

// TestFullRowHoldsNobodyInAndNobodyOut: an admin invites a puppet, which declines, until the
// admin may invite it no more, and lets it join. The owner removes it and invites it again.
func TestFullRowHoldsNobodyInAndNobodyOut(t *testing.T) {
	t.Parallel()
	owner, mallory, puppet := identity(t), identity(t), identity(t)
	r := newRowsOfARoom(t, owner, mallory, puppet)
	id := core.UserID(puppet.Public())
	r.mustSay(seal.StatementConfig{Kind: seal.StatementInvite, Subject: core.UserID(mallory.Public()), Role: core.MemberAdmin, By: owner})
	r.mustSay(seal.StatementConfig{Kind: seal.StatementAccept, By: mallory})
	invite := seal.StatementConfig{Kind: seal.StatementInvite, Subject: id, Role: core.MemberMember, By: mallory}
	one := len(must[seal.Statement](t)(r.p.chain.Sign(invite)).Bytes())
	for seal.ProofSizeBy(r.proof(puppet), core.UserID(mallory.Public()))+2*one <= maxProofBySigner {
		r.mustSay(invite)
		r.mustSay(seal.StatementConfig{Kind: seal.StatementDecline, By: puppet})
	}
	r.mustSay(invite)
	r.mustSay(seal.StatementConfig{Kind: seal.StatementAccept, By: puppet})
	r.mustSay(seal.StatementConfig{Kind: seal.StatementRemove, Subject: id, By: owner})
	byOwner := invite
	byOwner.By = owner
	r.mustSay(byOwner)
	r.mustSay(seal.StatementConfig{Kind: seal.StatementAccept, By: puppet})
	r.mustSay(seal.StatementConfig{Kind: seal.StatementRemove, Subject: id, By: owner})
	if err := r.say(invite); core.KindOf(err) != core.KindRefused {
		t.Errorf("the admin's next invitation: %v", err)
	}
}

// TestRightsAreTakenAwayPastTheBound: a member with a full row can be lowered, removed and
// can leave, and is neither invited nor raised.
func TestRightsAreTakenAwayPastTheBound(t *testing.T) {
	t.Parallel()
	owner, member := identity(t), identity(t)
	full := make([]byte, maxKeptProof)
	r := newRowsOfARoom(t, owner, member)
	for _, c := range []struct {
		cfg    seal.StatementConfig
		before core.MemberRole
		kept   bool
	}{
		{seal.StatementConfig{Kind: seal.StatementInvite, Role: core.MemberMember, By: owner}, "", false},
		{seal.StatementConfig{Kind: seal.StatementAccept, By: member}, core.MemberMember, true},
		{seal.StatementConfig{Kind: seal.StatementRole, Role: core.MemberAdmin, By: owner}, core.MemberMember, false},
		{seal.StatementConfig{Kind: seal.StatementRole, Role: core.MemberMember, By: owner}, core.MemberAdmin, true},
		{seal.StatementConfig{Kind: seal.StatementRemove, By: owner}, core.MemberMember, true},
	} {
		if c.cfg.At = 1; c.cfg.Kind != seal.StatementAccept {
			c.cfg.Subject = core.UserID(member.Public())
		}
		st := must[seal.Statement](t)(r.p.chain.Sign(c.cfg))
		must[seal.Statement](t)(r.p.chain.Append(st.Bytes())) // the next one needs it
		if err := checkKept(st, full, c.before, false); (err == nil) != c.kept {
			t.Errorf("%s after %q: %v", st, c.before, err)
		}
	}
}

// TestCheckpointsOnlyWhenDue: an owner's confirmations are about the owner, whose row they
// would fill.
func TestCheckpointsOnlyWhenDue(t *testing.T) {
	t.Parallel()
	owner := identity(t)
	r := newRowsOfARoom(t, owner)
	if err := r.say(seal.StatementConfig{Kind: seal.StatementCheckpoint, By: owner}); core.KindOf(err) != core.KindExists {
		t.Errorf("a confirmation that is not due: %v", err)
	}
}

// TestStatementsCountInTheirSubjectsRowAlone: a founding that stands in another's row founds
// nothing.
func TestStatementsCountInTheirSubjectsRowAlone(t *testing.T) {
	t.Parallel()
	owner, other := identity(t), identity(t)
	r := newRowsOfARoom(t, owner)
	row := core.Member{Room: r.room.ID, User: core.UserID(other.Public()), Proof: r.proof(owner)}
	if head := headOf([]core.Member{row}); head != nil {
		t.Errorf("the room has a chain: %+v", head)
	}
	row.User = core.UserID(owner.Public())
	if head := headOf([]core.Member{row}); head == nil {
		t.Error("the founder's own row founds nothing")
	}
}

func identity(t *testing.T) keys.Identity {
	t.Helper()
	return must[keys.Identity](t)(keys.GenerateIdentity())
}

// must ends the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
