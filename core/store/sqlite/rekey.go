package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"
	"time"

	"unibus/core"
)

// A file has one record an epoch and no place for what is not committed yet:
// boxes that come in parts wait in memory, and a restart forgets them.
const (
	maxStages     = 64               // rekeys under way
	maxStageBytes = 256 << 20        // all of them together
	stageLife     = 10 * time.Minute // since its last part; a rekey takes seconds
)

type stagedRekeyKey struct {
	epochOf
	rec string
}

type stagedRekey struct {
	keys map[core.UserID]core.SealedKey
	by   string // the sealer of its first box
	size int
	used time.Time
}

// stagedRekeys are the rekeys under way. If there is no space for one more, the
// caller with the most of them loses the oldest: the many rekeys of one caller
// never displace the one of another.
type stagedRekeys struct {
	mu   sync.Mutex
	all  map[stagedRekeyKey]*stagedRekey
	size int
}

// add keeps boxes that came at a moment. KindInvalid where one rekey alone has too
// many.
func (s *stagedRekeys) add(at stagedRekeyKey, keys []core.SealedKey, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	into := s.all[at]
	if into == nil {
		into = &stagedRekey{keys: map[core.UserID]core.SealedKey{}}
		if len(keys) > 0 && keys[0].SealedBy != nil {
			into.by = *keys[0].SealedBy
		}
	}
	more := 0
	for _, k := range keys {
		more += len(k.Box)
	}
	if into.size+more > maxStageBytes {
		return core.Errorf(core.KindInvalid, "the boxes of one rekey have more than %d bytes", maxStageBytes)
	}
	if s.all == nil {
		s.all = map[stagedRekeyKey]*stagedRekey{}
	}
	s.all[at] = into
	for len(s.all) > maxStages {
		s.evictOldest(at, func(*stagedRekey) int { return 1 })
	}
	for s.size+more > maxStageBytes && len(s.all) > 1 {
		s.evictOldest(at, func(st *stagedRekey) int { return st.size })
	}
	into.used = now
	for _, k := range keys {
		n := len(k.Box) - len(into.keys[k.User].Box)
		k.Box = bytes.Clone(k.Box)
		into.keys[k.User] = k
		into.size, s.size = into.size+n, s.size+n
	}
	return nil
}

// expire drops rekeys that will not be committed any more.
func (s *stagedRekeys) expire(now time.Time) {
	for at, st := range s.all {
		if now.Sub(st.used) > stageLife {
			s.drop(at)
		}
	}
}

// evictOldest frees space: of the caller with the most, by some measure, it drops
// the oldest rekey, and never the one that needs the space.
func (s *stagedRekeys) evictOldest(keep stagedRekeyKey, measure func(*stagedRekey) int) {
	of := map[string]int{}
	for _, st := range s.all {
		of[st.by] += measure(st)
	}
	var worst stagedRekeyKey
	var found *stagedRekey
	for at, st := range s.all {
		if at == keep {
			continue
		}
		if found == nil || of[st.by] > of[found.by] || of[st.by] == of[found.by] && st.used.Before(found.used) {
			worst, found = at, st
		}
	}
	if found != nil {
		s.drop(worst)
	}
}

func (s *stagedRekeys) drop(at stagedRekeyKey) {
	s.size -= s.all[at].size
	delete(s.all, at)
}

// keysOf are the boxes in the order of their users.
func (s *stagedRekeys) keysOf(at stagedRekeyKey) (keys []core.SealedKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[at] == nil {
		return nil
	}
	for _, user := range slices.Sorted(maps.Keys(s.all[at].keys)) {
		keys = append(keys, s.all[at].keys[user])
	}
	return keys
}

// forget drops rekeys that were committed, or can never be: those of epochs up to
// at.
func (s *stagedRekeys) forget(at epochOf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.all {
		if k.room == at.room && k.epoch <= at.epoch {
			s.drop(k)
		}
	}
}

// StageKeys keeps boxes of the next epoch in memory: see core.Store.
func (s *Store) StageKeys(ctx context.Context, room core.RoomID, from core.Epoch, rec string, keys []core.SealedKey) error {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].Room = room
	}
	next, err := keysOfNext(room, from, keys)
	if err != nil {
		return err
	}
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.layout().roomToRekey(ctx, tx, room, from, rec); err != nil {
			return err
		}
		for _, k := range next {
			if err := userKnown(ctx, tx, k.User); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.staged.add(stagedRekeyKey{epochOf{room, from + 1}, rec}, next, time.Now())
}

// roomToRekey reads a room that is at an epoch and may leave it.
func (l layout) roomToRekey(ctx context.Context, tx *sql.Tx, id core.RoomID, from core.Epoch, rec string) (core.Room, error) {
	if _, err := core.ParseRec(rec); err != nil {
		return core.Room{}, err
	}
	if err := core.CheckEpoch(id, from+1); err != nil {
		return core.Room{}, err
	}
	r, err := l.roomIn(ctx, tx, id)
	switch {
	case err != nil:
		return core.Room{}, err
	case r.Epoch != from:
		return core.Room{}, movedOn(r, from)
	case r.State == core.RoomArchived:
		return core.Room{}, core.ErrArchived(id)
	case r.Rec == rec:
		return core.Room{}, core.Errorf(core.KindInvalid, "the record %s is that of the room's present epoch", rec).WithNext("make another name")
	}
	return r, nil
}

// StagedFor returns who has a staged box: see core.Store.
func (s *Store) StagedFor(ctx context.Context, room core.RoomID, from core.Epoch, rec string) (users []core.UserID, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		_, err := s.layout().roomToRekey(ctx, tx, room, from, rec)
		return err
	})
	for _, k := range s.staged.keysOf(stagedRekeyKey{epochOf{room, from + 1}, rec}) {
		users = append(users, k.User)
	}
	return users, err
}

// CommitRekey moves the room to the staged boxes in one transaction: see core.Store.
func (s *Store) CommitRekey(ctx context.Context, room core.RoomID, from core.Epoch, rec string, record []byte) (r core.Room, err error) {
	if record != nil {
		if err := s.upgradeToStates(ctx); err != nil {
			return core.Room{}, err
		}
	}
	at := epochOf{room, from + 1}
	keys := s.staged.keysOf(stagedRekeyKey{at, rec})
	err = s.update(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		if r, err = s.layout().roomToRekey(ctx, tx, room, from, rec); err != nil {
			return err
		}
		next := core.EpochRecord{Room: room, Epoch: from + 1, Rec: rec, Prev: r.Rec, Record: record}
		r.Epoch = next.Epoch
		if s.layout().hasStates() {
			if err := s.layout().startEpoch(ctx, tx, next); err != nil {
				return err
			}
			if err := s.layout().confirmRecord(ctx, tx, next); err != nil {
				return err
			}
			r.Rec = rec
		}
		for _, k := range keys {
			if err := s.layout().putKey(ctx, tx, k); err != nil {
				return err
			}
		}
		if err := s.layout().updateRoom(ctx, tx, r); err != nil {
			return err
		}
		return s.layout().confirmEpoch(ctx, tx, r, keys)
	})
	if err != nil {
		return core.Room{}, err
	}
	s.staged.forget(at)
	return r, nil
}
