package admin

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// keyHealthCache holds the key health of every room. Screens ask for it all the time,
// so one pass over all rooms serves every request of the next seconds.
type keyHealthCache struct {
	last     atomic.Pointer[keyHealthSnapshot]
	passLock sync.Mutex // one pass at a time

	mu          sync.Mutex
	epochStarts map[core.RoomID]epochStart // at most one a room
	lookedUp    int                        // grows with each entry
	notes       roomNotes                  // the last ones
}

// keyHealthSnapshot is one pass.
type keyHealthSnapshot struct {
	store    core.Store
	at       time.Time
	duration time.Duration
	active   map[core.UserID]bool
	ends     []core.User // those that have one
	health   map[core.RoomID]epochHealth

	memberships int // active ones
	missing     int // rooms of which a member has no key
	rekey       int // rooms that need a new key
	legacy      int // and of these, those whose keys are a legacy database's
}

// epochHealth is a room's health at one epoch.
type epochHealth struct {
	KeyHealth
	epoch     core.Epoch
	rec       string
	ownerName string
	members   int
}

type epochStart struct {
	epoch core.Epoch
	rec   string
	at    core.Millis
}

const (
	listMaxAge        = 3 * time.Second         // for lists
	listWait          = 500 * time.Millisecond  // that a list waits for another one, while it has one of the last minute
	listFirstWait     = 1500 * time.Millisecond // and while it has none: consoles wait for 2 s
	listMaxStale      = time.Minute
	noteMaxAge        = 5 * time.Second        // for the note in the status
	snapshotMaxAge    = 5 * time.Minute        // older ones are not used
	refreshCostFactor = 20                     // another one is taken only after this many times its cost
	singleRoomReads   = 8                      // rooms of another epoch that are looked at one by one
	noteWait          = 250 * time.Millisecond // that a status waits for one at the most
	sinceLookups      = 200                    // of when an epoch began, for one page of rooms
	sinceWithin       = 500 * time.Millisecond
	sinceReaders      = 8 // of those lookups at a time
)

// snapshot returns a snapshot of st that is not older than fresh, or than its cost allows.
func (k *keyHealthCache) snapshot(ctx context.Context, st core.Store, fresh time.Duration) (*keyHealthSnapshot, error) {
	asked := time.Now()
	if v := k.last.Load(); v.isFresh(st, asked, fresh) {
		return v, nil
	}
	k.passLock.Lock()
	defer k.passLock.Unlock()
	if v := k.last.Load(); v.isFresh(st, asked, fresh) { // another request took it meanwhile
		return v, nil
	}
	v, err := newKeyHealthSnapshot(ctx, st)
	if err == nil {
		k.last.Store(v)
		k.forget(v)
	}
	return v, err
}

func (v *keyHealthSnapshot) isFresh(st core.Store, asked time.Time, fresh time.Duration) bool {
	return v != nil && v.store == st && asked.Sub(v.at) <= max(fresh, refreshCostFactor*v.duration)
}

func newKeyHealthSnapshot(ctx context.Context, st core.Store) (*keyHealthSnapshot, error) {
	v := &keyHealthSnapshot{store: st, at: time.Now(), active: map[core.UserID]bool{}, health: map[core.RoomID]epochHealth{}}
	ctx = core.Unproven(ctx)
	rooms, err := st.RoomKeys(ctx)
	if err != nil {
		return nil, err
	}
	users, err := st.Users(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[core.UserID]*string, len(users))
	for _, u := range users {
		v.active[u.ID], names[u.ID] = u.IsActive(core.MillisOf(v.at)), u.Name
		if u.Expires != 0 {
			v.ends = append(v.ends, u)
		}
	}
	for _, r := range rooms {
		v.add(r, names[r.Room.Owner])
	}
	v.duration = time.Since(v.at)
	return v, nil
}

// add adds a room and counts it.
func (v *keyHealthSnapshot) add(r core.RoomKeys, ownerName *string) {
	k := epochHealth{KeyHealth: healthOf(r, v.isActive), epoch: r.Room.Epoch, rec: r.Room.Rec, members: len(r.Members)}
	if ownerName != nil {
		k.ownerName = beginningOf(*ownerName)
	}
	v.health[r.Room.ID] = k
	v.memberships += k.members
	switch k.State {
	case KeysMissing:
		v.missing++
	case KeysRekey:
		v.rekey++
		if r.Room.Rec == core.LegacyRec {
			v.legacy++
		}
	}
}

func (v *keyHealthSnapshot) isActive(id core.UserID) bool { return v.active[id] }

// forget drops what is known of rooms that are not there any more, as after a migration.
func (k *keyHealthCache) forget(v *keyHealthSnapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.epochStarts {
		if _, there := v.health[id]; !there {
			delete(k.epochStarts, id)
		}
	}
}

// cachedHealth is a room's health where the keyHealthSnapshot is of the same epoch and state.
func (v *keyHealthSnapshot) cachedHealth(r core.Room) (KeyHealth, bool) {
	h, ok := v.health[r.ID]
	archived := r.State == core.RoomArchived
	return h.KeyHealth, ok && h.epoch == r.Epoch && h.rec == r.Rec && archived == (h.State == KeysArchived)
}

// since is when a room's epoch began. It is asked of the store once an epoch.
func (k *keyHealthCache) since(ctx context.Context, st core.Store, r core.Room) (core.Millis, error) {
	if at, ok := k.known(r); ok {
		return at, nil
	}
	at, err := st.EpochBegan(ctx, r.ID)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.epochStarts == nil {
			k.epochStarts = map[core.RoomID]epochStart{}
		}
		k.epochStarts[r.ID] = epochStart{r.Epoch, r.Rec, at}
		k.lookedUp++
	}
	return at, err
}

func (k *keyHealthCache) known(r core.Room) (core.Millis, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, ok := k.epochStarts[r.ID]
	return b.at, ok && b.epoch == r.Epoch && b.rec == r.Rec
}

// fill gives a page of rooms their health. A few rooms that are new to the
// keyHealthSnapshot, or at another epoch, are looked at one by one; of more of them nothing
// is known until the next keyHealthSnapshot.
func (k *keyHealthCache) fill(ctx context.Context, v *keyHealthSnapshot, rooms []RoomSummary) (err error) {
	reads := 0
	for i, r := range rooms {
		h, ok := v.cachedHealth(r.Room)
		if !ok && reads < singleRoomReads {
			reads++
			if h, err = v.healthNow(ctx, r.Room); err != nil {
				return err
			}
			ok = true
		}
		if ok {
			rooms[i].Keys = &h
		}
	}
	k.fillSince(ctx, v.store, rooms)
	return nil
}

// healthNow looks at one room by a fresh proof; users that the snapshot does not know are looked up.
func (v *keyHealthSnapshot) healthNow(ctx context.Context, r core.Room) (KeyHealth, error) {
	var k core.RoomKeys
	room, err := core.AtOneEpoch(ctx, v.store, r, func(holders []core.UserID) error {
		members, err := v.store.Members(ctx, r.ID)
		if err != nil {
			return err
		}
		k = core.RoomKeys{Holders: holders}
		for _, m := range members {
			k.Members = append(k.Members, m.User)
		}
		return nil
	})
	if err != nil {
		return KeyHealth{}, err
	}
	k.Room = room
	return healthOf(k, func(id core.UserID) bool {
		active, known := v.active[id]
		if known {
			return active
		}
		u, err := v.store.User(ctx, id)
		return err != nil || u.IsActive(core.MillisOf(time.Now())) // no alarm about what is not known
	}), nil
}

// fillSince looks up when epochs began, as many as there is time for: the rest
// comes with the next page, and each is asked for once.
func (k *keyHealthCache) fillSince(ctx context.Context, st core.Store, rooms []RoomSummary) {
	k.lookUp(ctx, st, sinceLookups, func(ask func(core.Room, func(core.Millis)) bool) {
		for _, r := range rooms {
			if r.Keys == nil || !r.Keys.sealed() {
				continue
			}
			if at, ok := k.known(r.Room); ok {
				r.Keys.Since = at
			} else {
				ask(r.Room, func(at core.Millis) { r.Keys.Since = at })
			}
		}
	})
}

// lookUp runs choose, and has up to most of the rooms that it asks for looked up; ask is
// false once that is enough, or took long.
func (k *keyHealthCache) lookUp(ctx context.Context, st core.Store, most int, choose func(ask func(core.Room, func(core.Millis)) bool)) {
	type question struct {
		room   core.Room
		answer func(core.Millis)
	}
	ctx, cancel := context.WithTimeout(ctx, sinceWithin)
	defer cancel()
	next := make(chan question)
	var all sync.WaitGroup
	for range sinceReaders {
		all.Go(func() {
			for q := range next {
				if at, err := k.since(ctx, st, q.room); err == nil {
					q.answer(at)
				}
			}
		})
	}
	asked := 0
	choose(func(r core.Room, answer func(core.Millis)) bool {
		if asked++; asked > most || ctx.Err() != nil {
			return false
		}
		next <- question{r, answer}
		return true
	})
	close(next)
	all.Wait()
}

// storeNotes are the notes about rooms and users, as far as they are known.
func (s *Service) storeNotes() (notes []cluster.Finding) {
	v := s.noteSnapshot()
	if v == nil {
		return nil
	}
	for _, note := range []*cluster.Finding{v.note(), expiryNote(v.ends, s.cfg.Now())} {
		if note != nil {
			notes = append(notes, *note)
		}
	}
	return notes
}

// noteSnapshot is the newest snapshot for notes; nil where none is new enough.
func (s *Service) noteSnapshot() *keyHealthSnapshot {
	st, err := s.cfg.Store.Store()
	if err != nil {
		return nil
	}
	v, err := s.newestSnapshot(st, snapshotUse{fresh: noteMaxAge, maxStale: snapshotMaxAge, wait: noteWait, firstWait: noteWait})
	if err != nil {
		s.cfg.Log.Debug("the rooms' keys could not be looked at", "error", err)
	}
	return v
}

// keysForList is a snapshot for lists; nil where none can be had.
func (s *Service) keysForList(st core.Store) (*keyHealthSnapshot, error) {
	return s.newestSnapshot(st, snapshotUse{fresh: listMaxAge, maxStale: listMaxStale, wait: listWait, firstWait: listFirstWait})
}

// snapshotUse says how old a snapshot may be.
type snapshotUse struct {
	fresh, maxStale time.Duration // one older than fresh is replaced, and used until then if it serves
	wait, firstWait time.Duration // for another one: while one serves, and while none does
}

// newestSnapshot takes a snapshot, unless there is one that is fresh. It waits for it a
// little, and then returns an older one that serves, or nil: no request waits long because
// there are many rooms.
func (s *Service) newestSnapshot(st core.Store, use snapshotUse) (*keyHealthSnapshot, error) {
	last := func() *keyHealthSnapshot {
		if v := s.keys.last.Load(); v != nil && v.store == st && time.Since(v.at) <= use.maxStale {
			return v
		}
		return nil
	}
	if v := last(); v.isFresh(st, time.Now(), use.fresh) {
		return v, nil
	}
	taken := make(chan error, 1)
	s.server.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		_, err := s.keys.snapshot(ctx, st, use.fresh)
		taken <- err
	})
	wait := use.firstWait
	if last() != nil {
		wait = use.wait
	}
	select {
	case err := <-taken:
		return last(), err
	case <-time.After(wait):
	}
	return last(), nil
}

// note tells of rooms that need a new key, nil where none does. It is a note and changes
// no verdict, because the cluster is well. The members' programs make the new key by
// themselves as soon as one of them is online. Where the keys were moved, an operator
// has to ask, which can wait until the morning.
func (v *keyHealthSnapshot) note() *cluster.Finding {
	if v.rekey == 0 {
		return nil
	}
	text := "A member's program makes a new one once it is online."
	switch v.legacy {
	case 0:
	case v.rekey:
		text = "The keys were moved from a legacy database: a member's program makes the first new one once it is online and asked."
	default:
		text = fmt.Sprintf("A member's program makes a new one once it is online, but in %s whose keys were moved from a legacy database only once it is asked.", roomCount(v.legacy))
	}
	return &cluster.Finding{
		Level: cluster.Note, About: "rooms",
		Text: fmt.Sprintf("Rekey required in %s: a removed or revoked user still has the key. %s", roomCount(v.rekey), text),
		Next: "look at page 5 of the console, or at `unibusd room list`; ask a member with `unibusd room rekey ROOM`",
	}
}

func roomCount(n int) string {
	if n == 1 {
		return "1 room"
	}
	return fmt.Sprintf("%d rooms", n)
}
