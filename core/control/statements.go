package control

import (
	"context"
	"errors"
	"slices"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/seal"
)

// The members of an encrypted room sign every change of its members (core/seal,
// DESIGN.md section 11). The service keeps the statements in the rows that they are
// about, and refuses those that the members' clients would refuse.

const (
	maxStatements    = 4    // of one request
	statementsPage   = 1000 // of one answer
	maxStatementSize = 512  // one statement
)

// proofsOf are the proofs of rows. Statements in another row than their subject's are none.
func proofsOf(rows []core.Member) [][]byte {
	out := make([][]byte, len(rows))
	for i, m := range rows {
		if seal.ProofIsAbout(m.Proof, m.User) {
			out[i] = m.Proof
		}
	}
	return out
}

// headOf is the newest statement about a room's members; nil for a room without a chain.
func headOf(rows []core.Member) *ChainHead {
	s, found := seal.HeadOfProofs(proofsOf(rows))
	if !found {
		return nil
	}
	return &ChainHead{MembershipHead: seal.MembershipHead{Seq: s.Seq, Hash: s.Hash}, Epoch: s.Epoch, Record: s.Record}
}

// membersSign refuses a change without a statement in a room whose members sign them.
func (a *actor) membersSign(ctx context.Context) error {
	if !a.room.Encrypted {
		return nil
	}
	rows, err := a.store.RoomMembers(ctx, a.room.ID)
	if err != nil {
		return err
	}
	return mustSign(a.room.ID, rows...)
}

// chain is the chain of the room; nil for a room without one.
func (a *actor) chain(ctx context.Context) (*seal.Membership, error) {
	if !a.room.Encrypted {
		return nil, nil
	}
	rows, err := a.store.RoomMembers(ctx, a.room.ID)
	if err != nil {
		return nil, err
	}
	return a.chains.Membership(a.room.ID, proofsOf(rows))
}

// removesUnsigned refuses the removal of somebody to whom the chain leads. Others are
// members in the rows alone: taking them away needs no statement.
func (a *actor) removesUnsigned(ctx context.Context, user core.UserID) error {
	chain, err := a.chain(ctx)
	if err != nil || chain == nil {
		return err
	}
	if _, there := chain.Person(user); there {
		return errMustSign(a.room.ID)
	}
	return nil
}

func mustSign(room core.RoomID, rows ...core.Member) error {
	if !slices.ContainsFunc(rows, func(m core.Member) bool { return core.HasStatements(m.Proof) }) {
		return nil
	}
	return errMustSign(room)
}

func errMustSign(room core.RoomID) error {
	return core.Errorf(core.KindRefused, "the members of the room %s sign every change of its members, and this one is not signed", room).
		WithNext("use a client of the nodes' own version")
}

// checkFounding verifies the first statement of a room that is created.
func checkFounding(a *actor, req CreateRequest) (proof []byte, err error) {
	if len(req.Founding) == 0 {
		return nil, nil
	}
	if len(req.Founding) > maxStatementSize {
		return nil, request.TooLarge("the founding", len(req.Founding), maxStatementSize)
	}
	chain, err := seal.ReadMembership(seal.MembershipSource{Room: core.RoomID(req.ID), Statements: [][]byte{req.Founding}})
	if err != nil {
		return nil, err
	}
	founder, founded := chain.Founder()
	if !founded || founder != a.id() || !chain.Encrypted() || !req.Encrypted {
		return nil, core.Errorf(core.KindInvalid, "the founding of the room %s is not that of an encrypted room by %s", req.ID, a.id().Short())
	}
	s, err := seal.VerifyStatement(core.RoomID(req.ID), req.Founding)
	return seal.AppendProof(nil, s), err
}

// statements is a page of a room's chain.
func (s *Service) statements(ctx context.Context, a *actor, req StatementsRequest) (any, error) {
	rows, err := a.store.RoomMembers(ctx, a.room.ID)
	if err != nil {
		return nil, err
	}
	head := headOf(rows)
	if head == nil {
		return nil, core.Errorf(core.KindNotFound, "the room %s has no statements about its members", a.room.ID)
	}
	out := Statements{Head: *head, First: req.From}
	var all [][]byte
	switch {
	case req.Upto > 0:
		upto, err := a.recordSeq(ctx, req.Upto)
		if err != nil {
			return nil, err
		}
		from, first, err := a.chains.Source(a.room.ID, proofsOf(rows), upto)
		if err != nil {
			return nil, err
		}
		out.First, out.State, all = first, from.State, from.Statements[:min(len(from.Statements), statementsPage)]
	case req.From == 0:
		out.State = seal.SnapshotOfProofs(proofsOf(rows))
		fallthrough
	default:
		all = a.chains.Statements(a.room.ID, proofsOf(rows), req.From, statementsPage)
	}
	out.Statements = firstPage(all, maxKeptProof-len(out.State))
	return out, nil
}

// recordSeq is the last statement before the record of the present epoch, or most if that
// one is older: a client that begins at a later checkpoint could not check the record.
func (a *actor) recordSeq(ctx context.Context, most uint64) (uint64, error) {
	rows, err := a.store.Epochs(ctx, a.room.ID, a.room.Epoch, 1)
	if err != nil || len(rows) == 0 {
		return most, err
	}
	if r, err := seal.VerifyRecord(rows[0]); err == nil && r.Members != nil {
		most = min(most, r.Members.Seq)
	}
	return most, nil
}

// firstPage is what has room in one answer, and always one statement.
func firstPage(all [][]byte, size int) [][]byte {
	for i, b := range all {
		if size -= len(b); size < 0 {
			return all[:max(i, 1)]
		}
	}
	return all
}

// appendStatements appends what the caller has signed, all or none. Statements that
// are there already are no error: the answer to an earlier try was lost.
func (s *Service) appendStatements(ctx context.Context, a *actor, req appendRequest) (any, error) {
	if err := a.statementRoom(ctx, req.Room); err != nil {
		return nil, err
	}
	signed, err := a.verifyStatements(req.Statements)
	if err != nil {
		return nil, err
	}
	if err := a.checkInvitedSigner(signed); err != nil {
		return nil, err
	}
	if err := a.checkRecords(ctx, signed); err != nil {
		return nil, err
	}
	if err := s.checkStatements(ctx, a, signed); err != nil {
		return nil, err
	}
	var done *appender
	err = a.store.ChangeMembers(ctx, a.room.ID, func(rows []core.Member) ([]core.Member, error) {
		if done, err = newAppender(a.chains, a.room, rows, s.cfg.Now()); err != nil {
			return nil, err
		}
		out, err := done.append(signed)
		if err == nil && done.givesRight { // else nobody could be removed from a room with large rows
			err = s.countUsage(a, 0, written(out))
		}
		return out, err
	})
	if err != nil {
		return nil, err
	}
	if err := s.ownByChain(ctx, a, done.chain); err != nil {
		return nil, err
	}
	if err := s.afterStatements(ctx, a, done); err != nil {
		return nil, err
	}
	last := done.chain.Head()
	epoch, record := done.chain.Epoch()
	return ChainHead{MembershipHead: last, Epoch: epoch, Record: record}, nil
}

// statementRoom loads the room for a caller who is a member or invited. To others a
// room that is not there looks the same.
func (a *actor) statementRoom(ctx context.Context, room string) error {
	id, err := core.ParseRoomID(room)
	if err != nil {
		return err
	}
	m, err := a.memberOf(ctx, id, a.id())
	if err != nil {
		return err
	}
	if m == nil {
		if _, err := a.invitation(ctx, room); err != nil {
			return err
		}
	}
	if a.room, err = a.store.Room(ctx, id); err != nil {
		return err
	}
	a.rank = roomRankOf(a.room, a.id(), m)
	if a.room.State == core.RoomArchived {
		return core.ErrArchived(id)
	}
	return nil
}

// verifyStatements reads statements that the caller has signed.
func (a *actor) verifyStatements(raw [][]byte) ([]seal.Statement, error) {
	if len(raw) == 0 || len(raw) > maxStatements {
		return nil, core.Errorf(core.KindInvalid, "a request has %d statements, and must have 1 to %d", len(raw), maxStatements)
	}
	out := make([]seal.Statement, len(raw))
	for i, b := range raw {
		if len(b) > maxStatementSize {
			return nil, request.TooLarge("the statement", len(b), maxStatementSize)
		}
		st, err := seal.VerifyStatement(a.room.ID, b)
		switch {
		case err != nil:
			return nil, err
		case st.Signer != a.id():
			return nil, core.Errorf(core.KindRefused, "%s was sent by %s", st, a.id().Short()).WithNext("its signer has to send it")
		case st.Epoch > a.room.Epoch:
			return nil, core.Errorf(core.KindInvalid, "%s names epoch %d, and the room is at epoch %d", st, st.Epoch, a.room.Epoch)
		}
		out[i] = st
	}
	return out, nil
}

// checkRecords refuses statements that name another record than the room has of an epoch.
// One of these would end the room: every member would find two histories.
func (a *actor) checkRecords(ctx context.Context, signed []seal.Statement) error {
	for _, st := range signed {
		if st.Epoch == 0 {
			continue // without a record, which VerifyStatement has checked
		}
		rows, err := a.store.Epochs(ctx, a.room.ID, st.Epoch, 1)
		if err != nil {
			return err
		}
		if len(rows) > 0 && rows[0].Epoch == st.Epoch {
			if r, err := seal.VerifyRecord(rows[0]); err == nil && r.Hash == st.Record {
				continue
			}
		}
		return core.Errorf(core.KindInvalid, "%s names another record of epoch %d than the room has", st, st.Epoch).
			WithNext("follow the room to its present epoch, and sign it again")
	}
	return nil
}

// checkStatements checks what no chain can tell: users, quotas and limits.
func (s *Service) checkStatements(ctx context.Context, a *actor, signed []seal.Statement) error {
	size := 0
	for _, st := range signed {
		if !takesOut(st) {
			size += len(st.Bytes())
		}
		if err := s.checkStatement(ctx, a, st); err != nil {
			return err
		}
	}
	return s.countUsage(a, 0, size)
}

func (s *Service) checkStatement(ctx context.Context, a *actor, st seal.Statement) error {
	switch {
	case st.Kind == seal.StatementAccept:
		m, err := a.invitation(ctx, string(st.Room))
		if core.KindOf(err) == core.KindNotFound { // accepted by an earlier try, or the chain refuses it
			return nil
		}
		if err == nil {
			err = s.stillInvited(ctx, a, m)
		}
		if err == nil {
			err = s.checkRoomLimit(ctx, a.store, a.id())
		}
		return err
	case st.Kind == seal.StatementInvite:
		if err := s.checkActive(ctx, a, st.Subject); err != nil {
			return err
		}
		pending, err := a.store.Invitations(ctx, core.InvitationFilter{Room: st.Room, User: st.Subject})
		if err != nil {
			return err
		}
		return s.mayInvite(ctx, a.store, a.id(), core.Member{Room: st.Room, User: st.Subject}, len(pending) > 0)
	case st.Kind == seal.StatementRole && st.Role == core.MemberOwner:
		return s.checkActive(ctx, a, st.Subject)
	}
	return nil
}

// checkActive refuses a user who is unknown, revoked or expired.
func (s *Service) checkActive(ctx context.Context, a *actor, user core.UserID) error {
	u, err := a.store.User(ctx, user)
	if err != nil {
		return err
	}
	if status := u.StatusAt(s.cfg.Now()); status != core.UserActive {
		return core.Errorf(core.KindRefused, "%s is %s: such a user is neither invited nor made an owner", user.Short(), status).
			WithNext("a user-admin can activate a revoked user, and an operator can extend an expired one")
	}
	return nil
}

// ownByChain gives the room another owner where its owner is none by the chain any
// more: the room's row names one owner, and the chain may have several.
func (s *Service) ownByChain(ctx context.Context, a *actor, chain *seal.Membership) error {
	if chain.Role(a.room.Owner) == core.MemberOwner {
		return nil
	}
	var owners []core.UserID
	for user := range chain.People() {
		if chain.Role(user) == core.MemberOwner {
			owners = append(owners, user)
		}
	}
	_, err := s.updateRoom(ctx, a, core.RoomChange{Owner: slices.Min(owners), IfOwner: a.room.Owner}) // a chain has always an owner
	return err
}

// afterStatements tells the room, and takes back an acceptance that was one room too many.
func (s *Service) afterStatements(ctx context.Context, a *actor, done *appender) error {
	for _, c := range done.changes {
		if c.joined {
			if err := s.undoOverRoomLimit(ctx, a.store, c.row); err != nil {
				return err
			}
		}
		if c.joined || c.wasActive {
			s.announceMember(a, c.row, c.joined)
		}
		s.tellSigned(a, c)
	}
	return nil
}

// appender appends statements to the rows of a room.
type appender struct {
	chain   *seal.Membership
	founder core.UserID
	rows    map[core.UserID]core.Member
	room    core.Room
	now     core.Millis
	changes []memberChange

	givesRight bool // one of the statements brings somebody in, or raises a right
}

// memberChange is what a statement has changed.
type memberChange struct {
	kind              seal.StatementKind
	row               core.Member
	joined, wasActive bool
}

func newAppender(chains *seal.ProofCache, room core.Room, rows []core.Member, now core.Millis) (*appender, error) {
	chain, err := chains.Membership(room.ID, proofsOf(rows))
	if err != nil {
		return nil, err
	}
	if chain == nil {
		return nil, core.Errorf(core.KindRefused, "the room %s has no statements about its members: it was created before members signed", room.ID).
			WithNext("its owner founds it anew with a client of the nodes' own version")
	}
	p := &appender{chain: chain, rows: make(map[core.UserID]core.Member, len(rows)), room: room, now: now}
	for _, m := range rows {
		p.rows[m.User] = m
		if seal.HasFounding(m.Proof) {
			p.founder = m.User
		}
	}
	return p, nil
}

// append returns the rows to write. The founder's is always among them: of two
// changes of a chain at once only one counts, because both change that row. It is the last
// one, so that whoever sees it as it is now sees the statements, too.
func (p *appender) append(signed []seal.Statement) ([]core.Member, error) {
	var written []core.UserID
	for _, st := range signed {
		before, role, due := p.chain.Head(), p.chain.Role(st.Subject), p.chain.CheckpointDue()
		if _, err := p.chain.Append(st.Bytes()); err != nil {
			return nil, conflictOf(err)
		}
		if p.chain.Head() == before {
			continue // it is there already
		}
		if err := checkKept(st, p.rows[st.Subject].Proof, role, due); err != nil {
			return nil, err
		}
		p.givesRight = p.givesRight || givesRight(st, role)
		if err := p.apply(st); err != nil {
			return nil, err
		}
		changed := []core.UserID{st.Subject}
		for _, user := range p.chain.Since(before.Seq)[0].Lapsed {
			if p.lapse(st, user) {
				changed = append(changed, user)
			}
		}
		for _, user := range changed {
			if user != p.founder && !slices.Contains(written, user) {
				written = append(written, user)
			}
		}
	}
	if len(p.changes) == 0 {
		return nil, nil
	}
	var out []core.Member
	for _, user := range append(written, p.founder) {
		out = append(out, p.rows[user])
	}
	return out, nil
}

// lapse ends the invitation of a user that ends with a statement about its inviter. It is
// false for one that the servers have withdrawn before.
func (p *appender) lapse(st seal.Statement, user core.UserID) bool {
	m := p.rows[user]
	if m.State != core.MemberInvited {
		return false
	}
	m.State = core.MemberRemoved
	p.rows[user] = m
	p.changes = append(p.changes, memberChange{kind: st.Kind, row: m})
	return true
}

// conflictOf is the error of a statement that does not follow the head. Another
// member's came first, or its signer was shown another history.
func conflictOf(err error) error {
	if !errors.Is(err, seal.ErrFork) && !errors.Is(err, seal.ErrGap) && !errors.Is(err, seal.ErrRollback) {
		return err
	}
	return core.Errorf(core.KindConflict, "%s", core.AsError(err).Text).WithNext("read the room's statements and sign again")
}

// apply changes the row that a statement is about.
func (p *appender) apply(st seal.Statement) error {
	m, there := p.rows[st.Subject]
	if !there {
		m = core.Member{Room: p.room.ID, User: st.Subject, Role: core.MemberMember, State: core.MemberRemoved}
	}
	c := memberChange{kind: st.Kind, wasActive: m.State == core.MemberActive}
	switch st.Kind {
	case seal.StatementInvite:
		by := string(st.Signer)
		m.State, m.Role, m.InvitedBy, m.Joined, c.wasActive = core.MemberInvited, st.Role, &by, p.now, false
	case seal.StatementAccept:
		if m.State != core.MemberInvited {
			return core.Errorf(core.KindNotFound, "there is no invitation of %s to the room %s any more: it was withdrawn", st.Subject.Short(), p.room.ID).
				WithNext("ask the room's owner for another one")
		}
		m.State, m.Role, m.Joined, c.joined = core.MemberActive, st.Role, p.now, true
	case seal.StatementRole:
		m.Role = st.Role
	case seal.StatementDecline, seal.StatementRemove, seal.StatementLeave:
		m.State = core.MemberRemoved
	default:
		c.wasActive = false
	}
	m.Proof = seal.AppendProof(m.Proof, st)
	p.rows[st.Subject], c.row = m, m
	p.changes = append(p.changes, c)
	return nil
}
