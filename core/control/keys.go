package control

import (
	"context"
	"slices"

	"unibus/core"
	"unibus/core/request"
	"unibus/core/seal"
)

func (s *Service) kemKey(ctx context.Context, a *actor, req kemKeyRequest) (any, error) {
	if len(req.Key) == 0 {
		return nil, core.Errorf(core.KindInvalid, "there is no key to publish")
	}
	if len(req.Key) > maxKEMKey {
		return nil, request.TooLarge("the key", len(req.Key), maxKEMKey)
	}
	if err := s.countUsage(a, 0, len(req.Key)); err != nil {
		return nil, err
	}
	u, err := a.store.SetKEMKey(ctx, a.id(), req.Key, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	return profileOf(u, s.cfg.Now()), nil
}

func (s *Service) key(ctx context.Context, a *actor, req keyRequest) (any, error) {
	k, err := a.store.Key(ctx, a.room.ID, req.Epoch, a.id())
	if err != nil {
		return nil, err
	}
	records, err := a.store.Epochs(ctx, a.room.ID, req.Epoch, 1)
	if err != nil {
		return nil, err
	}
	out := Key{Key: k}
	if len(records) > 0 && records[0].Epoch == k.Epoch && records[0].Rec == k.Rec {
		out.Record = &records[0]
	}
	return out, nil
}

// encrypted refuses keys for a room that has none.
func (a *actor) encrypted() error {
	if !a.room.Encrypted {
		return core.Errorf(core.KindRefused, "the room %s is not encrypted: it has no keys", a.room.ID)
	}
	return nil
}

// sealed checks one box.
func (a *actor) sealed(b Box, at core.Millis) (core.SealedKey, error) {
	id, err := core.ParseUserID(b.User)
	if err != nil {
		return core.SealedKey{}, err
	}
	switch {
	case len(b.Box) == 0:
		return core.SealedKey{}, core.Errorf(core.KindInvalid, "the box for %s is empty", id.Short())
	case len(b.Box) > maxBox:
		return core.SealedKey{}, request.TooLarge("the box for "+id.Short(), len(b.Box), maxBox)
	}
	by := string(a.id())
	return core.SealedKey{Room: a.room.ID, User: id, Box: b.Box, SealedBy: &by, Created: at}, nil
}

// box gives one member the present key. One that is there is replaced only by
// its own member, or by a member who may remove that one.
func (s *Service) box(ctx context.Context, a *actor, req boxRequest) (any, error) {
	if err := a.encrypted(); err != nil {
		return nil, err
	}
	if req.Epoch != a.room.Epoch || req.Rec != a.room.Rec {
		return nil, core.Errorf(core.KindConflict, "the room %s is at epoch %d, record %s", a.room.ID, a.room.Epoch, a.room.Rec).
			WithNext("seal the key of that epoch")
	}
	k, err := a.sealed(req.Box, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	_, role, err := a.target(ctx, string(k.User))
	if err != nil {
		return nil, err
	}
	if err := a.mayHaveKeys(ctx, a.id(), k.User); err != nil {
		return nil, err
	}
	_, err = a.store.Key(ctx, a.room.ID, req.Epoch, k.User)
	switch {
	case err == nil && k.User != a.id() && !mayChangeMember(a.rank, false, role):
		return nil, core.Errorf(core.KindExists, "%s has a box of epoch %d of the room %s already", k.User.Short(), req.Epoch, a.room.ID)
	case err != nil && core.KindOf(err) != core.KindNotFound:
		return nil, err
	}
	if err := s.countUsage(a, 0, len(k.Box)); err != nil {
		return nil, err
	}
	k.Epoch = req.Epoch
	if err := a.store.PutKey(ctx, k); err != nil {
		return nil, err
	}
	s.announce(Event{Kind: EventBox, Room: a.room.ID, Epoch: req.Epoch, User: k.User, By: a.id()})
	return a.room, nil
}

// rekeyPart stages boxes, for active members alone.
func (s *Service) rekeyPart(ctx context.Context, a *actor, req rekeyPart) (any, error) {
	if err := a.encrypted(); err != nil {
		return nil, err
	}
	if len(req.Boxes) == 0 || len(req.Boxes) > maxPartRows {
		return nil, core.Errorf(core.KindInvalid, "a part of a rekey has %d boxes, and must have 1 to %d", len(req.Boxes), maxPartRows)
	}
	now, size := s.cfg.Now(), 0
	keys, users := make([]core.SealedKey, 0, len(req.Boxes)), make([]core.UserID, 0, len(req.Boxes))
	for _, b := range req.Boxes {
		k, err := a.sealed(b, now)
		if err != nil {
			return nil, err
		}
		if size += len(k.Box) + len(k.User); size > maxPart {
			return nil, request.TooLarge("a part of a rekey", size, maxPart).WithNext("send the boxes in more parts")
		}
		keys, users = append(keys, k), append(users, k.User)
	}
	if err := a.allMembers(ctx, users); err != nil {
		return nil, err
	}
	if err := s.countUsage(a, 0, size); err != nil {
		return nil, err
	}
	if err := a.store.StageKeys(ctx, a.room.ID, req.From, req.Rec, keys); err != nil {
		return nil, err
	}
	return staged{Boxes: len(keys)}, nil
}

// allMembers refuses a key for a user who is not an active member any more.
func (a *actor) allMembers(ctx context.Context, users []core.UserID) error {
	members, err := a.store.Members(ctx, a.room.ID)
	if err != nil {
		return err
	}
	in := make(map[core.UserID]bool, len(members))
	for _, m := range members {
		in[m.User] = true
	}
	if i := slices.IndexFunc(users, func(u core.UserID) bool { return !in[u] }); i >= 0 {
		return core.Errorf(core.KindConflict, "%s is not a member of the room %s: no key is kept for them", users[i].Short(), a.room.ID).
			WithNext("read the members again and make a new key for those")
	}
	return a.mayHaveKeys(ctx, users...)
}

// mayHaveKeys refuses a key for, or by, a user to whom the chain does not lead. Clients
// check that too.
func (a *actor) mayHaveKeys(ctx context.Context, users ...core.UserID) error {
	chain, err := a.chain(ctx)
	if err != nil || chain == nil {
		return err
	}
	return signedMembers(chain, users...)
}

func signedMembers(chain *seal.Membership, users ...core.UserID) error {
	if i := slices.IndexFunc(users, func(u core.UserID) bool { return chain.Role(u) == "" }); i >= 0 {
		return core.Errorf(core.KindConflict, "no statement leads to %s as a member of the room %s: no key is kept by or for them", users[i].Short(), chain.Room()).
			WithNext("read the room's statements, and make a new key for those to whom they lead")
	}
	return nil
}

// checkRecord refuses a record that the members' clients would refuse: its maker must be
// a member by the chain, and the record must name the members.
func (a *actor) checkRecord(ctx context.Context, req rekeyCommit) error {
	chain, err := a.chain(ctx)
	if err != nil || chain == nil {
		return err
	}
	record, err := seal.VerifyRecord(core.EpochRecord{Room: a.room.ID, Epoch: req.From + 1, Rec: req.Rec, Prev: a.room.Rec, Record: req.Record})
	switch {
	case err != nil:
		return err
	case record.Members == nil:
		return core.Errorf(core.KindRefused, "the record of %s names no members, and the members of that room sign its changes", record.Place).
			WithNext("use a client of the nodes' own version")
	case record.Maker != a.id():
		return core.Errorf(core.KindRefused, "the record of %s was made by %s and sent by %s", record.Place, record.Maker.Short(), a.id().Short()).WithNext("its maker has to send it")
	case record.Count != req.Boxes:
		return core.Errorf(core.KindInvalid, "the record of %s is of %d boxes, and %d were sent", record.Place, record.Count, req.Boxes)
	}
	if err := a.followRecord(ctx, chain, req.From); err != nil {
		return err
	}
	return chain.CheckRecord(record)
}

// followRecord has the chain know the record of an epoch, if it names members: the next one
// may not name older ones.
func (a *actor) followRecord(ctx context.Context, chain *seal.Membership, epoch core.Epoch) error {
	rows, err := a.store.Epochs(ctx, a.room.ID, epoch, 1)
	if err != nil || len(rows) == 0 || rows[0].Epoch != epoch {
		return err
	}
	record, err := seal.VerifyRecord(rows[0])
	if err == nil && record.Members != nil && chain.CheckRecord(record) == nil { // of a record that a client could not follow the clients tell
		chain.NoteRecord(record)
	}
	return nil
}

// rekeyCommit moves the room once every box is there and is for a member still.
func (s *Service) rekeyCommit(ctx context.Context, a *actor, req rekeyCommit) (any, error) {
	if err := a.encrypted(); err != nil {
		return nil, err
	}
	switch {
	case len(req.Record) == 0:
		return nil, core.Errorf(core.KindInvalid, "the epoch has no record")
	case len(req.Record) > maxRecord:
		return nil, request.TooLarge("the record", len(req.Record), maxRecord)
	}
	users, err := a.store.StagedFor(ctx, a.room.ID, req.From, req.Rec)
	if err != nil {
		return nil, err
	}
	if len(users) != req.Boxes || len(users) == 0 {
		return nil, core.Errorf(core.KindConflict, "%d boxes are here for the record %s, not %d", len(users), req.Rec, req.Boxes).
			WithNext("send the boxes again, then the commit")
	}
	if err := a.allMembers(ctx, users); err != nil {
		return nil, err
	}
	if err := a.checkRecord(ctx, req); err != nil {
		return nil, err
	}
	if err := s.countUsage(a, 1, len(req.Record)); err != nil {
		return nil, err
	}
	r, err := a.store.CommitRekey(ctx, a.room.ID, req.From, req.Rec, req.Record)
	if err != nil {
		return nil, err
	}
	s.announce(Event{Kind: EventRekey, Room: r.ID, Epoch: r.Epoch, By: a.id()})
	return r, nil
}

// epochsPage is how many records a page has at the most: each costs the store a read.
const epochsPage = 30

func (s *Service) epochs(ctx context.Context, a *actor, req EpochsRequest) (any, error) {
	upto, limit := a.room.Epoch, epochsPage
	if req.Upto != nil {
		upto = *req.Upto
	}
	if req.Limit > 0 {
		limit = min(limit, req.Limit)
	}
	records, err := a.store.Epochs(ctx, a.room.ID, upto, limit)
	if err != nil {
		return nil, err
	}
	out := Epochs{Records: records}
	if len(records) == limit {
		if last := records[len(records)-1]; last.Epoch > 0 && last.Prev != core.LegacyRec {
			next := last.Epoch - 1
			out.Next = &next
		}
	}
	if out.Records == nil {
		out.Records = []core.EpochRecord{}
	}
	return out, nil
}
